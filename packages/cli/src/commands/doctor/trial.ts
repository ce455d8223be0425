import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { type EndpointOwners, systemHost, type Traversal } from '@postern/core'
import {
  anySignal,
  type CallOptions,
  familyOf,
  isGlobal,
  type Network,
  type ServerHost,
  type Strategy
} from '@postern/interface'
import { createArrivals, endpointOwners, withArrivals } from '@postern/node'
import { runTraversal } from '@postern/runtime'

/** A traversal with a temporary port of this program. */
export interface Trial extends Pick<Traversal, 'addEventListener' | 'report' | 'recheck' | 'settled'> {
  /** Opens the port and starts the traversal. */
  start(): Promise<void>
  /** Resolves to whether a connection to an address and port arrives at the port of this program. */
  arrives(address: string, port: number, call: CallOptions): Promise<boolean>
  /** Returns the named peers with the results of the connections to them; empty if none was named. */
  witnesses(): readonly NamedWitness[]
  /** Releases the mappings and closes the port. */
  stop(): Promise<void>
}

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

/** Returns a trial with a TCP port, a free one by default, that accepts and closes connections; with `dryRun` it has no
 * port. Witnesses among the strategies see what arrives there. */
export const plainTrial =
  (
    strategies: readonly Strategy<ServerHost>[],
    dryRun: boolean,
    port = 0,
    named: () => readonly NamedWitness[] = () => []
  ): OpenTrial =>
  async (network) => {
    const server = dryRun ? undefined : createServer((socket) => socket.on('error', () => undefined).end())
    const host: ServerHost =
      server === undefined
        ? { ...systemHost, arrivals: () => undefined }
        : withArrivals(systemHost, createArrivals(server))
    const run = runTraversal({
      strategies,
      host,
      owners: trialOwners(),
      policy: { unverifiedAfterMs, searchMs: trialSearchMs },
      network
    })
    const { traversal } = run

    return {
      addEventListener: traversal.addEventListener,
      report: () => traversal.report(),
      recheck: () => traversal.recheck(),
      settled: () => traversal.settled(),
      async start() {
        if (server !== undefined) {
          server.listen(port)
          await once(server, 'listening')
          wantAll(traversal, network, portOf(server))
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
      witnesses: named,
      async stop() {
        await run.stop()
        server?.close()
      }
    }
  }

/** Returns the owners for a trial. Another program of this host may have mapped the named port already, and must keep
 * its mapping. */
export const trialOwners = (): EndpointOwners => endpointOwners({ program: 'postern doctor', warn: () => undefined })

function wantAll(traversal: Traversal, network: Network, port: number): void {
  traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '0.0.0.0', port })
  if (hasGlobalIpv6(network)) traversal.addEndpoint({ protocol: 'tcp', family: 6, address: '::', port })
}

/** Returns whether this host has a global IPv6 address. */
export const hasGlobalIpv6 = ({ addresses }: Network): boolean =>
  addresses.some((address) => familyOf(address) === 6 && isGlobal(address))

function portOf(server: Server): number {
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}
