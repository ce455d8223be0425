import type { Connection } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'
import { type CallOptions, type Clock, isNatError, type NatError, natError } from '@postern/interface'
import { openStream } from '@postern/messages'
import { within } from '@postern/net'

/** libp2p/specs ping/ping.md: 32 bytes that come back. */
const pingProtocol = '/ipfs/ping/1.0.0'
const pingBytes = 32
/** Relays that take longer than this are not told apart, in ms. */
const mostMs = 10_000

/**
 * How long a peer takes to answer, in ms; undefined where that cannot be told. libp2p's own connection monitor measures it
 * ten seconds after the start at the earliest, and then relays have long been chosen.
 */
export async function measureRtt(
  connection: Connection,
  clock: Clock,
  { signal }: CallOptions
): Promise<number | undefined> {
  if (connection.rtt !== undefined) return connection.rtt
  const late = (): NatError => natError('NO_REPLY', `the peer did not answer within ${mostMs} ms`)
  const startMs = clock.monotonicMs()
  try {
    return await within(clock, mostMs, { signal }, late, (call) => ping(connection, clock, call))
  } catch (error) {
    signal.throwIfAborted()
    // To say that it does not speak the protocol takes a peer two answers.
    if (isNatError(error) && error.code === 'UNSUPPORTED') return (clock.monotonicMs() - startMs) / 2
    return undefined
  }
}

async function ping(connection: Connection, clock: Clock, { signal }: CallOptions): Promise<number> {
  const stream = await openStream(connection, pingProtocol, { signal })
  try {
    const bytes = byteStream(stream, { maxBufferSize: pingBytes })
    // Bytes that nobody can know beforehand: a relay must not look nearer than it is.
    const sent = crypto.getRandomValues(new Uint8Array(pingBytes))
    const startMs = clock.monotonicMs()
    const [received] = await Promise.all([bytes.read({ bytes: pingBytes, signal }), bytes.write(sent, { signal })])
    const tookMs = clock.monotonicMs() - startMs
    if (!sent.every((byte, index) => received.get(index) === byte))
      throw natError('MALFORMED_REPLY', 'not the same bytes')
    return tookMs
  } finally {
    // Nothing hangs on it any more: it is not waited for until the peer has closed its end, too.
    stream.abort(new Error('the ping is over'))
  }
}
