import type { Connection } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'
import { type CallOptions, type Clock, isNatError, type NatError, natError, within } from '@postern/interface'
import { openStream } from '@postern/libp2p-utils'

/** libp2p/specs ping/ping.md: the peer returns the 32 bytes that it receives. */
const pingProtocol = '/ipfs/ping/1.0.0'
const pingBytes = 32
/** Time limit of a ping (ms). Slower relays are not distinguished. */
const maxMs = 10_000

/**
 * Resolves with the round-trip time to a peer in milliseconds; undefined if it cannot be measured. Rejects with the
 * signal's reason. libp2p's own connection monitor measures at the earliest ten seconds after the start, which is too
 * late for the choice of relays.
 */
export async function measureRtt(
  connection: Connection,
  clock: Clock,
  { signal }: CallOptions
): Promise<number | undefined> {
  if (connection.rtt !== undefined) return connection.rtt
  const late = (): NatError => natError('NO_REPLY', `the peer did not answer within ${maxMs} ms`)
  const startMs = clock.monotonicMs()
  try {
    return await within(clock, maxMs, { signal }, late, (call) => ping(connection, clock, call))
  } catch (error) {
    signal.throwIfAborted()
    // To reject a protocol takes a peer two round trips.
    if (isNatError(error) && error.code === 'UNSUPPORTED') return (clock.monotonicMs() - startMs) / 2
    return undefined
  }
}

async function ping(connection: Connection, clock: Clock, { signal }: CallOptions): Promise<number> {
  const stream = await openStream(connection, pingProtocol, { signal })
  try {
    const bytes = byteStream(stream, { maxBufferSize: pingBytes })
    // Random bytes, so that a relay cannot answer in advance and appear nearer than it is.
    const sent = crypto.getRandomValues(new Uint8Array(pingBytes))
    const startMs = clock.monotonicMs()
    const [received] = await Promise.all([bytes.read({ bytes: pingBytes, signal }), bytes.write(sent, { signal })])
    const tookMs = clock.monotonicMs() - startMs
    if (!sent.every((byte, index) => received.get(index) === byte))
      throw natError('MALFORMED_REPLY', 'the ping returned other bytes')
    return tookMs
  } finally {
    // Do not wait until the peer has closed its end.
    stream.abort(new Error('the ping is over'))
  }
}
