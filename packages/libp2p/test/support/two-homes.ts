import { betweenTiers, type HomeOptions, type Tier, type Topology } from '@postern/lab'
import type { LabNode, NodeConfig, Said } from './nodes.js'
import { openWorld, type World } from './world.js'

/** Two homes and three public peers that both homes know. */
export interface TwoHomes extends AsyncDisposable {
  readonly world: World
  /** The node behind 11.0.0.2. */
  readonly home: LabNode
  /** The node behind 12.0.0.2. */
  readonly home2: LabNode
  /** Makes `home2` dial `home` through a relay, even if another path exists. */
  dialThroughRelay(): Promise<void>
  /** Resolves with the result of the hole punch on both sides. */
  outcomes(): Promise<readonly [home: Said, home2: Said]>
}

export interface TwoHomesOptions extends NodesOptions {
  /** The options of both routers. */
  readonly both?: HomeOptions
  readonly home?: HomeOptions
  readonly home2?: HomeOptions
}

export interface NodesOptions {
  /** The options of holePunch(). */
  readonly punch?: Record<string, unknown>
  /**
   * The mapping strategies, before the others in rank. @default none, so that a direct connection is punched or to a
   * public home
   */
  readonly mappers?: readonly string[]
  /** The peers that both homes know. They have reservations at up to two of them. @default all three */
  readonly peers?: number
  /** The address family of the peers. @default 4 */
  readonly family?: 4 | 6
  /** The STUN servers that both homes ask. */
  readonly stunServers?: readonly string[]
  readonly node?: NodeConfig
  /** Additional options of each public peer. */
  readonly publicNode?: NodeConfig
}

export async function openTwoHomes(one: Tier, other: Tier, options: TwoHomesOptions = {}): Promise<TwoHomes> {
  const { both = {}, home, home2, ...rest } = options
  return openNodes(betweenTiers(one, other, { home: { ...both, ...home }, home2: { ...both, ...home2 } }), rest)
}

/** Opens two homes in any topology with a `home` and a `home2`. */
export async function openNodes(topology: Topology, options: NodesOptions = {}): Promise<TwoHomes> {
  const { punch = {}, mappers = [], peers, family = 4, stunServers, node = {}, publicNode = {} } = options
  const changes = { alpha: publicNode, bravo: publicNode, charlie: publicNode }
  const world = await openWorld(topology, changes, (node.iceServer ?? stunServers) !== undefined)
  const connect = (family === 4 ? world.peerAddresses : world.peerAddresses6).slice(0, peers)
  const strategies: NonNullable<NonNullable<NodeConfig['nat']>['strategies']> = [
    ...mappers.map((name) => [name] as const),
    ['relay', { relays: connect.slice(0, 2) }],
    ['autonat'],
    ...(stunServers === undefined ? [] : [['stun', { servers: stunServers }] as const]),
    ['hole-punch', punch]
  ]
  const start = (host: string): Promise<LabNode> => world.startHome({ connect, ...node, nat: { strategies } }, host)
  const [home, home2] = await Promise.all([start('home'), start('home2')])

  return {
    world,
    home,
    home2,
    async dialThroughRelay() {
      const { addresses } = await home.until(isRelayed)
      const address = (addresses as readonly string[]).find((each) => each.includes('/p2p-circuit'))
      await home2.dial(address ?? '')
    },
    outcomes: () => Promise.all([home.until(isOutcome), home2.until(isOutcome)]),
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]()
  }
}

const isRelayed = ({ event, addresses }: Said): boolean =>
  event === 'addresses' && String(addresses).includes('/p2p-circuit')

const isOutcome = ({ event, state }: Said): boolean => event === 'upgrade' && (state === 'direct' || state === 'failed')
