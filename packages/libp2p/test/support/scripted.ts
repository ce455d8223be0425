import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { type Lease, type Mapper, type Network, natError, type Strategy, type Witness } from '@postern/interface'
import type { VirtualClock } from '@postern/testkit'
import type { Datastore } from 'interface-datastore'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { type NatTraversal, type NatTraversalInit, natTraversal } from '../../src/index.js'

/** A router on loopback, which can map a node on loopback. */
const gateway = { address: '127.0.0.2', interface: 'lo', localAddress: '127.0.0.1' }
export const network: Network = { gateways: [gateway], addresses: ['127.0.0.1'] }

export interface ScriptedRouter {
  readonly strategy: Strategy
  readonly mapped: ReadonlySet<number>
  /** The keys of all map requests, in hexadecimal. */
  readonly keys: readonly string[]
  renewals: number
  /** Whether it still answers. */
  isThere: boolean
  lifetimeMs: number
}

/** Maps every port to 11.0.0.2 while the router answers. */
export function scriptedRouter(): ScriptedRouter {
  const mapped = new Set<number>()
  const keys: string[] = []
  const router: ScriptedRouter = {
    mapped,
    keys,
    renewals: 0,
    isThere: true,
    lifetimeMs: 7_200_000,
    strategy: ({ clock }) => ({
      name: 'pcp',
      kind: 'mapper',
      async discover(_network, found, call) {
        const leaseOf = (protocol: string, port: number): Lease => ({
          addresses: [`/ip4/11.0.0.2/${protocol}/${port}`],
          lifetimeMs: router.lifetimeMs,
          async renew() {
            if (!router.isThere) throw natError('NO_REPLY', 'the router does not answer')
            router.renewals++
            return leaseOf(protocol, port)
          },
          async release() {
            mapped.delete(port)
          }
        })
        const mapper: Mapper = {
          kind: 'mapper',
          gateway,
          family: 4,
          protocols: ['tcp', 'udp'],
          async map({ endpoint, key }) {
            keys.push(Buffer.from(key).toString('hex'))
            if (!router.isThere) throw natError('NO_REPLY', 'the router does not answer')
            mapped.add(endpoint.port)
            return leaseOf(endpoint.protocol, endpoint.port)
          }
        }
        found(mapper)
        await clock.sleep(1e12, call).catch(() => undefined)
      }
    })
  }
  return router
}

/** Creates two witnesses on distinct networks. `asked` counts their answers. */
export function scriptedWitnesses(
  asked: { count: number },
  outcome: () => 'reachable' | 'unreachable' = () => 'reachable'
): Strategy {
  return ({ clock }) => ({
    name: 'autonat',
    kind: 'witness',
    async discover(_network, found, call) {
      for (const id of ['21', '31']) {
        const witness: Witness = {
          kind: 'witness',
          party: { id, network: `${id}.0.0.0/16` },
          async verify() {
            asked.count++
            return { outcome: outcome() }
          }
        }
        found(witness)
      }
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })
}

export type TestNode = Libp2p<{ nat: NatTraversal; identify: unknown }>

export interface NodeOptions {
  readonly listen?: readonly string[]
  readonly metrics?: Libp2pOptions['metrics']
  readonly datastore?: Datastore
}

/** Creates a libp2p node on loopback with the service on a virtual clock. Does not start it. */
export function createNode(clock: VirtualClock, init: NatTraversalInit, options: NodeOptions = {}): Promise<TestNode> {
  const { listen = ['/ip4/127.0.0.1/tcp/0'], metrics, datastore } = options
  return createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    ...(metrics === undefined ? {} : { metrics }),
    ...(datastore === undefined ? {} : { datastore }),
    services: { identify: identify(), nat: natTraversal({ clock, findNetwork: async () => network, ...init }) },
    start: false
  })
}

/** Returns the announced addresses that are not loopback. */
export const announced = (node: TestNode): readonly string[] =>
  node
    .getMultiaddrs()
    .map((address) => address.toString().replace(/\/p2p\/.*$/, ''))
    .filter((address) => !address.startsWith('/ip4/127.'))

/** Advances virtual time in steps, so that real sockets can work in between. */
export async function pass(clock: VirtualClock, ms: number, stepMs: number = ms): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) await clock.advance(stepMs)
}
