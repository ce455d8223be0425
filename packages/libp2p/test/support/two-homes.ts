import { type HomeOptions, type Tier, type Topology, betweenTiers } from '@postern/lab'
import type { LabNode, NodeConfig, Said } from './nodes.js'
import { openWorld, type World } from './world.js'

/** Two homes and three public peers, which both know. */
export interface TwoHomes extends AsyncDisposable {
  readonly world: World
  /** Behind 11.0.0.2. */
  readonly home: LabNode
  /** Behind 12.0.0.2. */
  readonly home2: LabNode
  /** Has `home2` dial `home` through a relay, whatever else there is. */
  dialThroughRelay(): Promise<void>
  /** What the hole punching of both has come to. */
  outcomes(): Promise<readonly [home: Said, home2: Said]>
}

export interface TwoHomesOptions extends NodesOptions {
  /** Of both routers. */
  readonly both?: HomeOptions
  readonly home?: HomeOptions
  readonly home2?: HomeOptions
}

export interface NodesOptions {
  /** Options of holePunch(). */
  readonly punch?: Record<string, unknown>
  /** Before the others, in rank. @default none: what is direct was punched, or is public */
  readonly mappers?: readonly string[]
  /** Peers that both know, at which they have reservations as far as there are two. @default all three */
  readonly peers?: number
  /** How they are reached. @default 4 */
  readonly family?: 4 | 6
  /** STUN servers that both ask. */
  readonly stunServers?: readonly string[]
  readonly node?: NodeConfig
  /** What each of the public peers is, too. */
  readonly publicNode?: NodeConfig
}

export async function openTwoHomes(one: Tier, other: Tier, options: TwoHomesOptions = {}): Promise<TwoHomes> {
  const { both = {}, home, home2, ...rest } = options
  return openNodes(betweenTiers(one, other, { home: { ...both, ...home }, home2: { ...both, ...home2 } }), rest)
}

/** The same in any topology with a `home` and a `home2`. */
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
