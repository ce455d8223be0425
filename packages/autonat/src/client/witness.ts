import type { Connection, PeerId } from '@libp2p/interface'
import {
  anySignal,
  type CallOptions,
  type Evidence,
  familyOf,
  isNatError,
  type MultiaddrText,
  natError,
  networkPrefixOf,
  type RemoteParty,
  type Witness
} from '@postern/interface'
import { directRoute, type Route, routeOf } from '@postern/libp2p-utils'
import type { AutonatHost } from '../host.js'
import type { Settings } from '../options.js'
import { askV1 } from './ask-v1.js'
import { ask, type Question } from './ask-v2.js'
import type { Closers } from './closing-servers.js'
import type { DialBacks } from './dial-backs.js'
import type { DialDataBudget } from './dial-data-budget.js'
import type { ObservedAddresses } from './observed-addresses.js'
import type { Version } from './server-protocols.js'

/** What all witnesses of one discovery share. */
export interface Asking {
  readonly host: AutonatHost
  readonly settings: Settings
  readonly dialBacks: DialBacks
  readonly budget: DialDataBudget
  readonly closers: Closers
  readonly observed: Pick<ObservedAddresses, 'ipSeenOver'>
  /** Ends every question when the discovery ends. */
  readonly ended: AbortSignal
}

/** The peer that is asked, and the callback for a peer that turns out not to speak AutoNAT. */
export interface Asked {
  readonly peerId: PeerId
  readonly version: Version
  readonly party: RemoteParty
  /** Called when the peer turns out not to speak the protocol. */
  readonly lost: () => void
}

/** Returns the first direct connection to an address that may be asked. */
export function findConnection(
  connections: readonly Connection[],
  mayAsk: (address: string) => boolean
): { readonly connection: Connection; readonly route: Route } | undefined {
  for (const connection of connections) {
    const route = directRoute(connection)
    if (route !== undefined && mayAsk(route.host)) return { connection, route }
  }
  return undefined
}

/** Returns the party of a peer on a route; undefined if the route has no network prefix. */
export function partyOf(peerId: PeerId, route: Route, rttMs: number | undefined): RemoteParty | undefined {
  const network = networkPrefixOf(route.host)
  if (network === undefined) return undefined
  return { id: peerId.toString(), network, ...(rttMs === undefined ? {} : { rttMs }) }
}

/** Creates a witness. Each question uses a connection that is open at that time. */
export function createWitness(asking: Asking, { peerId, version, party, lost }: Asked): Witness {
  const { host, settings, dialBacks, budget, closers, observed, ended } = asking
  const { peerId: ownId, connectionManager } = host.components
  // The proof at a listener that is not the node's is the address of the peer, which is known in one family.
  const family = host.arrivals === undefined ? undefined : familyOf(party.network.replace(/\/.*$/, ''))

  return {
    kind: 'witness',
    party,
    ...(family === undefined ? {} : { family }),
    async verify(address, call) {
      call.signal.throwIfAborted()
      const route = ownRoute(address, ownId, settings.mayVerify)
      const found = findConnection(connectionManager.getConnections(peerId), settings.mayAsk)
      if (found === undefined || ended.aborted) {
        return { outcome: 'inconclusive', reason: natError('NO_REPLY', 'the witness is no longer connected') }
      }
      const { connection } = found
      const { timeoutMs } = settings
      const plain: MultiaddrText = `/${address.replace(/\/p2p\/[^/]+$/, '').slice(1)}`
      const seenAt = observed.ipSeenOver(connection)
      const question: Question = { host, connection, address: plain, route, timeoutMs, seenAt }
      const evidence = await untilEnd(ended, call, (bounded) =>
        version === 2 ? ask(question, dialBacks, budget, bounded) : askV1(question, closers, bounded)
      )
      if (evidence.reason?.code === 'UNSUPPORTED') lost()
      return evidence
    }
  }
}

/** Returns the route of an address. Throws a NatError, ADDRESS_NOT_ROUTABLE, if no witness may be asked about it. */
function ownRoute(address: MultiaddrText, ownId: PeerId, mayVerify: (address: string) => boolean): Route {
  const route = routeOf(address)
  if (route === undefined || !mayVerify(route.host)) {
    throw natError('ADDRESS_NOT_ROUTABLE', `${address} is not a direct address that is reachable from the internet`)
  }
  if (route.peerId !== undefined && route.peerId !== ownId.toString()) {
    throw natError('ADDRESS_NOT_ROUTABLE', `${address} is the address of another peer`)
  }
  return route
}

async function untilEnd(
  ended: AbortSignal,
  call: CallOptions,
  verify: (call: CallOptions) => Promise<Evidence>
): Promise<Evidence> {
  const reason = natError('NO_REPLY', 'the search for witnesses has ended')
  const controller = new AbortController()
  const stop = (): void => controller.abort(reason)
  ended.addEventListener('abort', stop, { once: true })
  try {
    return await verify({ signal: anySignal([call.signal, controller.signal]) })
  } catch (error) {
    call.signal.throwIfAborted()
    if (isNatError(error)) return { outcome: 'inconclusive', reason: error }
    throw error
  } finally {
    ended.removeEventListener('abort', stop)
  }
}
