import type { Connection } from '@libp2p/interface'
import { type CallOptions, type Clock, natError, orAborted, within } from '@postern/interface'
import { isDirect, isRelayed, nextIdentify, openStream } from '@postern/libp2p-utils'
import type { Context } from '../context.js'

/**
 * Protocols of libp2p itself. They run on every connection, so their streams do not show that an application uses it.
 */
const housekeeping: ReadonlySet<string> = new Set([
  '/libp2p/dcutr',
  '/ipfs/id/1.0.0',
  '/ipfs/id/push/1.0.0',
  '/ipfs/ping/1.0.0'
])
const identifyProtocol = '/ipfs/id/1.0.0'
/**
 * Time limit for an answer over the direct connection (ms). Even a congested connection carries a few bytes in this
 * time.
 */
const proofMs = 5000
const closeMs = 5000
/**
 * How often to check whether the relayed connections are still in use (ms), and how many times. Relays end them anyway.
 */
const againMs = 1000
const maxLooks = 120

/**
 * Closes the relayed connections to a peer `graceMs` after a direct connection was established, once the direct
 * connection carries traffic and no application stream uses the relay.
 */
export async function closeRelayed(context: Context, direct: Connection, call: CallOptions): Promise<void> {
  const { host, settings } = context
  const { clock, components } = host
  if (settings.graceMs === Number.POSITIVE_INFINITY) return
  const [carries] = await Promise.all([carriesTraffic(context, direct, call), clock.sleep(settings.graceMs, call)])
  if (!carries) return
  for (let looks = 0; looks < maxLooks; looks++) {
    const all = components.connectionManager.getConnections(direct.remotePeer)
    if (!all.some(isDirect)) return
    const relayed = all.filter(isRelayed)
    if (relayed.length === 0) return
    await Promise.all(relayed.filter((each) => !isUsed(each)).map((each) => close(each, clock, call)))
    await clock.sleep(againMs, call)
  }
}

/** Closes a relayed connection, or aborts it if the relay stalls. */
async function close(relayed: Connection, clock: Clock, call: CallOptions): Promise<void> {
  const late = (): Error => natError('NO_REPLY', 'the relay did not close the connection in time')
  await within(clock, closeMs, call, late, (bounded) => relayed.close(bounded)).catch(() =>
    relayed.abort(new Error('the relayed connection is no longer needed'))
  )
}

const isUsed = ({ streams }: Connection): boolean => streams.some(({ protocol }) => !housekeeping.has(protocol))

/** Resolves with whether the peer answers over the connection in time. Waits for identify, which runs on every new
 * connection, and also opens a stream. Rejects only with the signal's reason. */
export async function carriesTraffic(
  { host: { clock, components } }: Pick<Context, 'host'>,
  direct: Connection,
  call: CallOptions
): Promise<boolean> {
  const identified = nextIdentify(components.events, ({ connection }) => connection === direct)
  const late = (): Error => natError('NO_REPLY', 'no data arrived over the direct connection')
  try {
    await within(clock, proofMs, call, late, (bounded) =>
      // While libp2p's own identify runs, it refuses a second stream. Such a refusal proves nothing.
      Promise.any([orAborted(identified.result, bounded), answers(direct, bounded)])
    )
    return true
  } catch {
    call.signal.throwIfAborted()
    return false
  } finally {
    identified.stop()
  }
}

/** Resolves when the peer has answered the protocol negotiation. */
async function answers(direct: Connection, call: CallOptions): Promise<void> {
  const stream = await openStream(direct, identifyProtocol, call)
  stream.abort(new Error('the connection carries traffic'))
}
