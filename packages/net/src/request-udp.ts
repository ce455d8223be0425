import { type CallOptions, type Clock, isNatError, type NatError, natError } from '@postern/interface'
import { type OpenUdp, openUdp, type SocketAddress } from './udp.js'

/** Why what serves one request ends with it. Made once: an abort without a reason makes a new error with its stack. */
const over = new Error('the request is over')

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
  /** @default the real {@link openUdp} */
  readonly open?: OpenUdp
}

/**
 * Sends a request on a connected socket of its own (a random source port, nobody else's datagrams) until it is answered.
 *
 * Rejects with `NO_REPLY` after the last wait, `REFUSED` when the port is closed, `UNREACHABLE` when nothing can be
 * sent, what `match` threw, or the signal's reason. The socket is closed whichever way it ends.
 */
export async function requestUdp<T>(request: UdpRequest<T>, { signal }: CallOptions): Promise<T> {
  const { remote, family, localAddress, bytes, waitsMs, match, clock, open = openUdp } = request
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

  try {
    const socket = await open(
      {
        family,
        remote,
        ...(localAddress === undefined ? {} : { local: { address: localAddress } }),
        onMessage(reply) {
          try {
            const value = match(reply)
            if (value !== undefined) answer.resolve(value)
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
      },
      done
    )
    const sendings = async (): Promise<never> => {
      for (const waitMs of waitsMs) {
        socket.send(bytes)
        await clock.sleep(waitMs, { signal: done.signal })
      }
      throw complaint ?? natError('NO_REPLY', `no answer from ${remote.address} port ${remote.port}`)
    }
    return await Promise.race([answer.promise, sendings()])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', aborted)
    done.abort(over)
  }
}
