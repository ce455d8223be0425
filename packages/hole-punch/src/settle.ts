import type { Connection, IdentifyResult } from '@libp2p/interface'
import { type CallOptions, type Clock, natError } from '@postern/interface'
import { openStream } from '@postern/messages'
import { orAborted, within } from '@postern/net'
import type { Context } from './context.js'
import { isDirect, isRelayed } from './relayed.js'

/** Protocols of libp2p itself: they are spoken on every connection, and nobody misses them when it ends. */
const housekeeping: ReadonlySet<string> = new Set([
  '/libp2p/dcutr',
  '/ipfs/id/1.0.0',
  '/ipfs/id/push/1.0.0',
  '/ipfs/ping/1.0.0'
])
const identifyProtocol = '/ipfs/id/1.0.0'
/** A connection that works carries a few bytes within that time, also one that is full, in ms. */
const proofMs = 5000
const closeMs = 5000
/** How often it is looked whether the relayed connection is still in use, in ms, and for how long: relays end it anyway. */
const againMs = 1000
const mostLooks = 120

/**
 * Lets the relayed connections to a peer go, some time after the direct one is there: when that carries traffic, and when
 * nothing that an application uses goes over the relay any more.
 */
export async function letRelayGo(context: Context, direct: Connection, call: CallOptions): Promise<void> {
  const { host, settings } = context
  const { clock, components } = host
  if (settings.graceMs === Number.POSITIVE_INFINITY) return
  const [carries] = await Promise.all([carriesTraffic(context, direct, call), clock.sleep(settings.graceMs, call)])
  if (!carries) return
  for (let looks = 0; looks < mostLooks; looks++) {
    const all = components.connectionManager.getConnections(direct.remotePeer)
    if (!all.some(isDirect)) return
    const relayed = all.filter(isRelayed)
    if (relayed.length === 0) return
    await Promise.all(relayed.filter((each) => !isUsed(each)).map((each) => close(each, clock, call)))
    await clock.sleep(againMs, call)
  }
}

/** A relay that stalls does not hold it up. */
async function close(relayed: Connection, clock: Clock, call: CallOptions): Promise<void> {
  const late = (): Error => natError('NO_REPLY', 'the relay does not close the connection')
  await within(clock, closeMs, call, late, (bounded) => relayed.close(bounded)).catch(() =>
    relayed.abort(new Error('it is not needed any more'))
  )
}

const isUsed = ({ streams }: Connection): boolean => streams.some(({ protocol }) => !housekeeping.has(protocol))

/** Whether bytes come back over it in time: identify runs on every new connection, and where it does not, a stream is
 * opened. Rejects with the reason of the signal only. */
export async function carriesTraffic(
  { host: { clock, components } }: Pick<Context, 'host'>,
  direct: Connection,
  call: CallOptions
): Promise<boolean> {
  const { promise: told, resolve } = Promise.withResolvers<void>()
  const identified = ({ detail }: CustomEvent<IdentifyResult>): void => {
    if (detail.connection === direct) resolve()
  }
  components.events.addEventListener('peer:identify', identified)
  const late = (): Error => natError('NO_REPLY', 'nothing came over the direct connection')
  try {
    await within(clock, proofMs, call, late, (bounded) =>
      // While libp2p's own identify is under way a second stream for it is refused: that proves nothing.
      Promise.any([orAborted(told, bounded), answers(direct, bounded)])
    )
    return true
  } catch {
    call.signal.throwIfAborted()
    return false
  } finally {
    components.events.removeEventListener('peer:identify', identified)
  }
}

/** The answer of the negotiation is enough. */
async function answers(direct: Connection, call: CallOptions): Promise<void> {
  const stream = await openStream(direct, identifyProtocol, call)
  stream.abort(new Error('it carries traffic'))
}
