import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { createTraversal, type EndpointOwners, systemHost, type Traversal } from '@postern/core'
import { anySignal, type CallOptions, familyOf, isGlobal, type Network, type Strategy } from '@postern/interface'
import { endpointOwners } from '@postern/node'
import { doubtBeyondFirstHop, ownTap } from '@postern/net'

/** The ladder at work on a port of this program, for a while. */
export interface Trial extends Pick<Traversal, 'addEventListener' | 'report' | 'recheck' | 'firstPass'> {
  start(): Promise<void>
  /** Whether a connection to that address and port comes in at the port of this program. */
  arrives(address: string, port: number, call: CallOptions): Promise<boolean>
  /** The peers that were named, and what became of the connections to them. Empty where nobody was. */
  witnesses(): readonly NamedWitness[]
  /** Releases what was mapped. */
  stop(): Promise<void>
}

export type OpenTrial = (network: Network) => Promise<Trial>

/** A peer that the user named. */
export interface NamedWitness {
  readonly peer: string
  readonly id: string
  /** Why it is not connected; null once it is. */
  readonly failure: string | null
  /** Whether it offers AutoNAT in a version that it can be asked by. */
  readonly isWitness: boolean
}

/** A trial with a port, a free one by default, that accepts connections and ends them; without one where nothing is to be mapped. */
export const plainTrial =
  (strategies: readonly Strategy[], dryRun: boolean, port = 0): OpenTrial =>
  async (network) => {
    const traversal = createTraversal({
      strategies,
      owners: trialOwners(),
      doubt: doubtBeyondFirstHop(systemHost.clock)
    })
    const server = dryRun ? undefined : createServer((socket) => socket.on('error', () => undefined).end())

    return {
      addEventListener: traversal.addEventListener,
      report: () => traversal.report(),
      recheck: () => traversal.recheck(),
      firstPass: () => traversal.firstPass(),
      async start() {
        if (server !== undefined) {
          server.listen(port)
          await once(server, 'listening')
          wantAll(traversal, network, portOf(server))
        }
        traversal.lend(ownTap(() => network))
        traversal.networkIs(network)
        await traversal.start()
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
      witnesses: () => [],
      async stop() {
        await traversal.stop()
        server?.close()
      }
    }
  }

/** A port that the user names may be mapped by another program of this host already: it keeps its mapping. */
export const trialOwners = (): EndpointOwners => endpointOwners({ program: 'postern doctor', warn: () => undefined })

function wantAll(traversal: Traversal, network: Network, port: number): void {
  traversal.want({ protocol: 'tcp', family: 4, address: '0.0.0.0', port })
  if (hasGlobalIpv6(network)) traversal.want({ protocol: 'tcp', family: 6, address: '::', port })
}

export const hasGlobalIpv6 = ({ addresses }: Network): boolean =>
  addresses.some((address) => familyOf(address) === 6 && isGlobal(address))

function portOf(server: Server): number {
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}
