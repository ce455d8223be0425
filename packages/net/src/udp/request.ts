import {
  abortReason,
  type CallOptions,
  type Clock,
  canonicalAddress,
  isNatError,
  type NatError,
  natError
} from '@postern/interface'
import { createSprayGuard } from './spray-guard.js'
import { type OpenUdp, openUdp, type SocketAddress, type UdpOptions, type UdpSocket } from './udp.js'

/** The reason with which timers and sockets of a request are aborted at its end. */
const over = abortReason('the request is over')
/** A guessable answer that arrives within this time after a transmission, in ms, is accepted at once. */
const promptMs = 50
/** A guessable answer that arrives later is accepted if no forged answer arrives within this time, in ms. */
const holdMs = 250

type Handlers = Pick<UdpOptions, 'onMessage' | 'onError'>

/** A UDP request, and how its answer is recognised. */
export interface UdpRequest<T> {
  /** Where the request is sent. */
  readonly remote: SocketAddress
  /** The family of `remote`. */
  readonly family: 4 | 6
  /** The local address to send from, if it matters which one the peer sees.
   * @default the kernel's choice */
  readonly localAddress?: string
  /** The request. */
  readonly bytes: Uint8Array
  /** How long to wait after each transmission, in ms. There are as many transmissions as entries. */
  readonly waitsMs: readonly number[]
  /** Returns the answer in a datagram, or undefined if the datagram answers something else; the request then keeps
   * waiting. It also keeps waiting if this throws `MALFORMED_REPLY`, and rejects with that if no valid answer follows.
   * Any other error ends the request. */
  readonly match: (bytes: Uint8Array) => T | undefined
  /** The clock for the waits. */
  readonly clock: Clock
  /** Set if answers contain no secret, such as a nonce. Another host on the link can then send forged answers to every
   * port in the name of the peer. If the request detects that, it rejects with `UNTRUSTED_REPLY`.
   * @default false */
  readonly isGuessable?: boolean
  /** Called with the address of another host that answers instead of the peer: a router with several addresses may
   * answer from another one. Such an answer is not accepted. To receive it, every transmission but the first uses a
   * socket that is not connected.
   * @default answers of other hosts are not received */
  readonly elsewhere?: ((address: string) => void) | undefined
  /** Opens a socket.
   * @default the real {@link openUdp} */
  readonly open?: OpenUdp
}

/**
 * Sends a request on its own connected socket (with a random source port, and without datagrams of other hosts), and
 * repeats it until it is answered. Resolves with what `match` returned.
 *
 * Rejects with `NO_REPLY` after the last wait, `REFUSED` if the port is closed, `UNREACHABLE` if nothing can be sent,
 * `UNTRUSTED_REPLY` if answers seem to be forged, the error that `match` threw, or the signal's reason. Always closes
 * its sockets.
 */
export async function requestUdp<T>(request: UdpRequest<T>, { signal }: CallOptions): Promise<T> {
  const { remote, family, localAddress, bytes, waitsMs, match, clock, isGuessable = false, open = openUdp } = request
  const { elsewhere } = request
  signal.throwIfAborted()
  const done = new AbortController()
  const answer = Promise.withResolvers<T>()
  // It may be rejected before it is awaited; that must not count as an unhandled rejection.
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

  /** Accepts an answer, or holds it until it is known whether similar answers arrive at other ports too. */
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
      // A refusal is final. Other errors (a full buffer, a link that is coming up) may be gone at the next
      // transmission.
      if (error.code === 'REFUSED') answer.reject(error)
      else complaint = error
    }
  }

  /** Returns whether a datagram is an answer, including a negative one. */
  function isAnswer(reply: Uint8Array): boolean {
    try {
      return match(reply) !== undefined
    } catch (error) {
      return isNatError(error) && error.code !== 'MALFORMED_REPLY'
    }
  }

  /** Opens a socket that also receives datagrams of other hosts. Resolves to undefined if it cannot be opened. */
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
      // Open the decoys only after this pause: most routers answer earlier.
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
