import { type CallOptions, type Clock, type Gateway, isNatError, natError } from '@postern/interface'
import { requestUdp } from '../udp/request.js'
import { type OpenUdp, openUdp } from '../udp/udp.js'

/** The time to live at which a datagram reaches the router behind the next hop and is not forwarded by it. */
const beyondTtl = 2
/** The waits after each transmission, in ms: one round, which is long enough for a router that takes 3 s to answer. */
const waitsMs: readonly number[] = [250, 500, 1000, 2000]
/** How long the next hop has to answer the same question, in ms: three times the time of the first answer, within these
 * limits. It is sent twice. */
const nearMs = { min: 100, max: 2500 } as const

/** Opens sockets for the router behind the next hop: it does not forward their datagrams. */
export const openBeyond =
  (open: OpenUdp = openUdp): OpenUdp =>
  (options, call) =>
    open({ ...options, ttl: beyondTtl }, call)

/** A question to a router that may be behind the next hop. */
export interface AskBeyondOptions {
  /** The router. Its `localAddress` is the address to send from. */
  readonly gateway: Gateway
  /** The port to which the question is sent. */
  readonly port: number
  /** The question, which changes nothing. */
  readonly bytes: Uint8Array
  /** Returns a value if a datagram answers the question. As in `UdpRequest`, it may throw a refusal. */
  readonly match: (bytes: Uint8Array) => unknown
  /** The clock for the waits. */
  readonly clock: Clock
  /** Opens a socket.
   * @default the real `openUdp` */
  readonly open?: OpenUdp
}

/**
 * Resolves if the router answers and is behind the next hop: it answers a datagram with a time to live of 2, and none
 * with a time to live of 1.
 *
 * Rejects with `SECONDARY_GATEWAY` if the next hop itself answers, which may have several addresses, with the codes of
 * `requestUdp`, or with the signal's reason.
 */
export async function askBeyond(options: AskBeyondOptions, call: CallOptions): Promise<void> {
  const { gateway, port, bytes, match, clock, open = openUdp } = options
  const ask = (ttl: number, waits: readonly number[]): Promise<unknown> =>
    requestUdp(
      {
        remote: { address: gateway.address, port },
        family: 4,
        localAddress: gateway.localAddress,
        bytes,
        waitsMs: waits,
        match: (reply) => match(reply) ?? undefined,
        clock,
        open: (socket, own) => open({ ...socket, ttl }, own)
      },
      call
    )
  const beganMs = clock.monotonicMs()
  await ask(beyondTtl, waitsMs)
  const halfMs = Math.min(nearMs.max, Math.max(nearMs.min, 3 * (clock.monotonicMs() - beganMs))) / 2
  try {
    await ask(1, [halfMs, halfMs])
  } catch (error) {
    call.signal.throwIfAborted()
    if (!isNatError(error)) throw error
    if (unanswered.has(error.code)) return
  }
  throw natError('SECONDARY_GATEWAY', `${gateway.address} is another address of the next hop`)
}

/** The failures of a request that show that the address itself has not answered. */
const unanswered: ReadonlySet<string> = new Set(['NO_REPLY', 'UNREACHABLE', 'MALFORMED_REPLY'])
