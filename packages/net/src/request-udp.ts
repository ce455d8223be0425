import { type CallOptions, canonicalAddress, type Clock, isNatError, type NatError, natError } from '@postern/interface'
import { createSprayGuard } from './spray-guard.js'
import { type OpenUdp, openUdp, type SocketAddress, type UdpOptions, type UdpSocket } from './udp.js'

/** Why what serves one request ends with it. Made once: an abort without a reason makes a new error with its stack. */
const over = new Error('the request is over')
/** A guessable answer within this time after a sending, in ms, is accepted at once. */
const promptMs = 50
/** A later one is accepted when no forged answer was heard for this time, in ms. */
const holdMs = 250

type Handlers = Pick<UdpOptions, 'onMessage' | 'onError'>

export interface UdpRequest<T> {
  readonly remote: SocketAddress
  readonly family: 4 | 6
  /** Our own address, where it matters which one the peer sees. */
  readonly localAddress?: string
  readonly bytes: Uint8Array
  /** How long to wait after each sending, in ms: as many sendings as there are entries. */
  readonly waitsMs: readonly number[]
  /** The answer in these bytes. Undefined where they answer something else: the wait goes on. It goes on after a thrown
   * `MALFORMED_REPLY` too, which is then the error if nothing better comes. Every other throw ends the request. */
  readonly match: (bytes: Uint8Array) => T | undefined
  readonly clock: Clock
  /** Whether an answer holds nothing that only its peer can know, such as a nonce: another host on the link may then send
   * answers in the peer's name to every port. Where that is noticed the request ends with `UNTRUSTED_REPLY`.
   * @default false */
  readonly isGuessable?: boolean
  /** Is told the address of another host that answers in the place of the peer: a router with several addresses may send from
   * another one than it was asked at. Such an answer is none. To hear it, every sending but the first leaves from a socket
   * that is not connected.
   * @default no other host is heard */
  readonly elsewhere?: ((address: string) => void) | undefined
  /** @default the real {@link openUdp} */
  readonly open?: OpenUdp
}

/**
 * Sends a request on a connected socket of its own (a random source port, nobody else's datagrams) until it is answered.
 *
 * Rejects with `NO_REPLY` after the last wait, `REFUSED` when the port is closed, `UNREACHABLE` when nothing can be
 * sent, `UNTRUSTED_REPLY` when answers seem to be forged, what `match` threw, or the signal's reason. Every socket is closed
 * whichever way it ends.
 */
export async function requestUdp<T>(request: UdpRequest<T>, { signal }: CallOptions): Promise<T> {
  const { remote, family, localAddress, bytes, waitsMs, match, clock, isGuessable = false, open = openUdp } = request
  const { elsewhere } = request
  signal.throwIfAborted()
  const done = new AbortController()
  const answer = Promise.withResolvers<T>()
  // Nobody may be waiting yet when it is rejected.
  answer.promise.catch(() => undefined)
  const aborted = (): void => {
    answer.reject(signal.reason)
    done.abort(over)
  }
  signal.addEventListener('abort', aborted, { once: true })
  let complaint: NatError | undefined
  let sentMs = 0
  let held: { readonly value: T } | undefined
  const local = localAddress === undefined ? {} : { local: { address: localAddress } }
  const openOne = (handlers: Handlers, call: CallOptions): Promise<UdpSocket> =>
    open({ family, remote, ...local, ...handlers }, call)
  const guard = isGuessable ? createSprayGuard(remote, openOne, answer.reject, done) : undefined

  /** Takes an answer, or holds it until it is known whether others like it go to every port. */
  function take(value: T): void {
    if (guard === undefined || !guard.isWatching() || clock.monotonicMs() - sentMs <= promptMs)
      return answer.resolve(value)
    if (held !== undefined) return
    held = { value }
    clock.sleep(holdMs, done).then(
      () => answer.resolve(value),
      () => undefined
    )
  }
  const handlers: Handlers = {
    onMessage(reply) {
      try {
        const value = match(reply)
        if (value === undefined) guard?.stray()
        else take(value)
      } catch (error) {
        if (isNatError(error) && error.code === 'MALFORMED_REPLY') complaint = error
        else answer.reject(error)
      }
    },
    onError(error) {
      // A refusal is final. Anything else (a full buffer, a link that is going up) may pass until the next sending.
      if (error.code === 'REFUSED') answer.reject(error)
      else complaint = error
    }
  }

  /** Whether these bytes are an answer, one that says no among them. */
  function isAnswer(reply: Uint8Array): boolean {
    try {
      return match(reply) !== undefined
    } catch (error) {
      return isNatError(error) && error.code !== 'MALFORMED_REPLY'
    }
  }

  /** A socket that hears other hosts too. Undefined where it cannot be opened. */
  const openWide = (): Promise<UdpSocket | undefined> =>
    open(
      {
        family,
        ...local,
        onMessage(reply, from) {
          const isPeer = canonicalAddress(from.address) === canonicalAddress(remote.address)
          if (isPeer && from.port === remote.port) handlers.onMessage(reply, from)
          else if (!isPeer && isAnswer(reply)) elsewhere?.(from.address)
        },
        onError: handlers.onError
      },
      done
    ).catch(() => undefined)

  async function sendings(socket: UdpSocket): Promise<T> {
    let wide: UdpSocket | undefined
    for (const [index, waitMs] of waitsMs.entries()) {
      if (index === 1 && elsewhere !== undefined) wide = await openWide()
      if (wide === undefined) socket.send(bytes)
      else wide.send(bytes, remote)
      sentMs = clock.monotonicMs()
      // Most routers answer before the decoys are needed.
      const pauseMs = guard?.isWatching() === false ? Math.min(promptMs, waitMs) : 0
      if (pauseMs > 0) {
        await clock.sleep(pauseMs, done)
        await guard?.watch()
      }
      if (waitMs > pauseMs) await clock.sleep(waitMs - pauseMs, done)
    }
    if (held !== undefined) return held.value
    throw complaint ?? natError('NO_REPLY', `no answer from ${remote.address} port ${remote.port}`)
  }

  try {
    const socket = await openOne(handlers, done)
    return await Promise.race([answer.promise, sendings(socket)])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', aborted)
    done.abort(over)
  }
}
