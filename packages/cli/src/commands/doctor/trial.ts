import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { defaultPolicy, type EndpointOwners, systemHost, type Traversal } from '@postern/core'
import {
  anySignal,
  type CallOptions,
  type Family,
  familyOf,
  isGlobal,
  type Network,
  type ServerHost,
  type Strategy
} from '@postern/interface'
import { type Arrivals, createArrivals, endpointOwners } from '@postern/node'
import { runTraversal } from '@postern/runtime'
import { type SeenMappers, watchMappers } from './neighbourhood/watch-mappers.js'
import { watchParties } from './parties.js'
import { type BoundSocket, openUdpSockets, shareUdp } from './udp-sockets.js'

/** A traversal with a temporary port of this program. */
export interface Trial extends Pick<Traversal, 'addEventListener' | 'report' | 'recheck' | 'settled'> {
  /** Opens the port and starts the traversal. */
  start(): Promise<void>
  /** Resolves to whether a connection to an address and port arrives at the port of this program. */
  arrives(address: string, port: number, call: CallOptions): Promise<boolean>
  /** Returns the TCP port that it tries. Without it, or before the start, none is known. */
  port?(): number | undefined
  /** Returns whether it tries UDP besides TCP, and whether witnesses can prove it. Without it, only TCP. */
  udp?(): UdpState
  /** What is seen of the mappers. Without it, nothing is. */
  readonly mappers?: SeenMappers
  /** Returns whether a STUN server is being asked. Without it, none is. */
  isObserving?(): boolean
  /** Returns the named peers with the results of the connections to them; empty if none was named. */
  witnesses(): readonly NamedWitness[]
  /** Releases the mappings and closes the port. */
  stop(): Promise<void>
}

/** `untried`: no UDP socket is open. `unprovable`: there are no two networks of witnesses to which STUN servers do not belong
 * too. A NAT may let in what comes from where the socket has sent, so such witnesses are not asked. */
export type UdpState = 'untried' | 'unprovable' | 'provable'

/** Opens a trial in a network. */
export type OpenTrial = (network: Network) => Promise<Trial>

/** How long a strategy of a trial counts as still searching, in ms: less than doctor waits, so that the verdict about a router
 * that does not answer is final. */
export const trialSearchMs = 14_500

/** The time after which an address counts as unverified, in ms: a peer or server that is not found by then will not
 * be. */
export const unverifiedAfterMs = 7000

/** A peer or a server that the user named. */
export interface NamedWitness {
  /** The option with which it was named. */
  readonly option: '--peer' | '--witness'
  /** As the user named it. */
  readonly peer: string
  readonly id: string
  /** Why it is not connected; null if it is. */
  readonly failure: string | null
  /** Whether it supports AutoNAT in a usable version. Always true for a server. */
  readonly isWitness: boolean
  /** Why its last answer shows nothing. */
  readonly unclear?: string | undefined
}

/** What else a trial with a plain port does. */
export interface PlainTrialOptions {
  /** Returns what became of the servers that the user named.
   * @default none was named */
  readonly named?: () => readonly NamedWitness[]
  /** Whether to try a UDP socket too, which STUN servers look at.
   * @default false */
  readonly udp?: boolean
}

/** Returns a trial with a TCP port, a free one by default, that accepts and closes connections; with `dryRun` it has no
 * port. Witnesses among the strategies see what arrives there. */
export const plainTrial =
  (
    strategies: readonly Strategy<ServerHost>[],
    dryRun: boolean,
    port = 0,
    { named = () => [], udp = false }: PlainTrialOptions = {}
  ): OpenTrial =>
  async (network) => {
    const server = dryRun ? undefined : createServer((socket) => socket.on('error', () => undefined).end())
    const sources: Arrivals[] = server === undefined ? [] : [createArrivals(server)]
    const host: ServerHost = {
      ...systemHost,
      arrivals(at, each, call) {
        for (const { arrivals } of sources) arrivals(at, each, call)
      }
    }
    const ending = new AbortController()
    const sockets: BoundSocket[] = []
    const parties = watchParties(strategies)
    const mappers = watchMappers(parties.strategies)
    const run = runTraversal({
      strategies: mappers.strategies,
      host,
      owners: trialOwners(),
      policy: {
        unverifiedAfterMs,
        searchMs: trialSearchMs,
        // A symmetric NAT has another UDP address for each STUN server, and each is asked about.
        ...(udp ? { maxRequestsPerMinute: 8 } : {})
      },
      network
    })
    const { traversal } = run
    const families: readonly Family[] = hasGlobalIpv6(network) ? [4, 6] : [4]

    /** Opens the UDP sockets, at the port of TCP if that is free. */
    async function openUdp(tcpPort: number): Promise<void> {
      sockets.push(...(await openUdpSockets(families, tcpPort, port === 0)))
      for (const { socket, endpoint } of sockets) {
        sources.push(createArrivals(socket))
        traversal.addEndpoint(endpoint)
        const shared = shareUdp({ socket, endpoint }, network)
        if (shared !== undefined) traversal.shareSocket(() => shared, ending)
      }
    }

    return {
      addEventListener: traversal.addEventListener,
      report: () => traversal.report(),
      recheck: () => traversal.recheck(),
      settled: () => traversal.settled(),
      async start() {
        if (server !== undefined) {
          server.listen(port)
          await once(server, 'listening')
          wantAll(traversal, families, portOf(server))
          if (udp) await openUdp(portOf(server))
        }
        await run.start()
      },
      async arrives(address, external, { signal }) {
        if (server === undefined) return false
        const over = new AbortController()
        const arrived = once(server, 'connection', { signal: anySignal([signal, over.signal]) }).then(
          () => true,
          () => false
        )
        const socket = connect({ host: address, port: external })
        const refused = new Promise<boolean>((resolve) => socket.once('error', () => resolve(false)))
        const outcome = await Promise.race([arrived, refused])
        socket.destroy()
        over.abort()
        return outcome
      },
      port: () => (server === undefined ? undefined : portOf(server) || undefined),
      udp() {
        if (sockets.length === 0) return 'untried'
        return parties.witnessNetworks() >= defaultPolicy.quorum ? 'provable' : 'unprovable'
      },
      mappers: mappers.seen,
      isObserving: parties.isObserving,
      witnesses: named,
      async stop() {
        await run.stop()
        ending.abort()
        server?.close()
        for (const { socket } of sockets.splice(0)) socket.close()
      }
    }
  }

/** Returns the owners for a trial. Another program of this host may have mapped the named port already, and must keep
 * its mapping. */
export const trialOwners = (): EndpointOwners => endpointOwners({ program: 'postern doctor', warn: () => undefined })

function wantAll(traversal: Traversal, families: readonly Family[], port: number): void {
  for (const family of families)
    traversal.addEndpoint({ protocol: 'tcp', family, address: family === 4 ? '0.0.0.0' : '::', port })
}

/** Returns whether this host has a global IPv6 address. */
export const hasGlobalIpv6 = ({ addresses }: Network): boolean =>
  addresses.some((address) => familyOf(address) === 6 && isGlobal(address))

function portOf(server: Server): number {
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}
