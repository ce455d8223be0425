import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import {
  type Clock,
  type Finding,
  isNotice,
  type Network,
  type Puncher,
  systemClock,
  type UpgradeNotice
} from '@postern/interface'
import { createLibp2p } from 'libp2p'
import { expect, onTestFinished } from 'vitest'
import { type HolePunchComponents, type HolePunchHost, type HolePunchOptions, holePunch } from '../src/index.js'

export const nowhere: Network = { gateways: [], addresses: [] }

export interface Node {
  readonly libp2p: Libp2p
  readonly components: HolePunchComponents
  readonly id: string
  readonly address: string
}

/** Creates a real node on loopback. The caller stops it. */
export async function createNode(
  services: object = {},
  listen: readonly string[] = ['/ip4/127.0.0.1/tcp/0']
): Promise<Node> {
  const held: { components?: HolePunchComponents } = {}
  const libp2p = await createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    // All nodes have the same IP address here.
    connectionManager: { inboundConnectionThreshold: 1000 },
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      identify: identify(),
      ...services,
      parts: (components: unknown) => {
        held.components = components as HolePunchComponents
        return {}
      }
    }
  })
  const { components } = held
  if (components === undefined) throw new Error('the node has no components')
  return { libp2p, components, id: libp2p.peerId.toString(), address: String(libp2p.getMultiaddrs()[0] ?? '') }
}

export async function stopNodes(...nodes: readonly Node[]): Promise<void> {
  // A stop waits half a second for streams that a peer holds open.
  for (const each of nodes.flatMap(({ libp2p }) => libp2p.getConnections())) each.abort(new Error('the test is over'))
  await Promise.all(nodes.map(async ({ libp2p }) => libp2p.stop()))
}

/** Starts a relay, a node with a reservation there, and a node without one. All stop when the test ends. */
export async function trio(services: { readonly ours?: object } = {}): Promise<{
  readonly relay: Node
  readonly ours: Node
  readonly other: Node
}> {
  const relay = await createNode({ relay: circuitRelayServer() })
  const through = [`${relay.address}/p2p-circuit`]
  const [ours, other] = await Promise.all([createNode(services.ours, through), createNode({}, through)])
  onTestFinished(async () => stopNodes(ours, other, relay))
  return { relay, ours, other }
}

/** Dials through the relay, even if a direct path exists. Resolves when both sides have the connection. */
export async function dialThrough(relay: Node, from: Node, to: Node): Promise<void> {
  await from.libp2p.dial(multiaddr(`${relay.address}/p2p-circuit/p2p/${to.id}`), { force: true })
  await expect.poll(() => to.libp2p.getConnections(from.libp2p.peerId).length, { interval: 5 }).toBeGreaterThan(0)
}

/** Connects two nodes of `trio()` directly, although they listen through the relay only. */
export async function dialDirectly(from: Node, to: Node): Promise<Connection> {
  const { transportManager } = to.components
  await transportManager.listen([multiaddr('/ip4/127.0.0.1/tcp/0')])
  const place = transportManager.getAddrs().find((each) => !each.toString().includes('p2p-circuit'))
  return from.libp2p.dial(multiaddr(`${String(place)}/p2p/${to.id}`), { force: true })
}

export const hostOf = (
  components: HolePunchComponents,
  clock: Clock = systemClock,
  lines: string[] = []
): HolePunchHost => {
  const write = (line: string): void => void lines.push(line)
  return { clock, random: () => 0.5, log: { debug: write, info: write }, components }
}

export interface Search {
  readonly findings: readonly Finding[]
  readonly lines: readonly string[]
  readonly puncher: () => Promise<Puncher>
  /** Resolves with the first notice of this state. */
  readonly news: (state: UpgradeNotice['state']) => Promise<UpgradeNotice>
  readonly stop: () => Promise<void>
}

/** Runs holePunch() on a node until the test ends. */
export function search(node: Node, options: HolePunchOptions = {}, clock: Clock = systemClock): Search {
  const stopping = new AbortController()
  const findings: Finding[] = []
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const found = (finding: Finding): void => {
    findings.push(finding)
    for (const look of waiting) look()
  }
  const done = holePunch(options)(hostOf(node.components, clock, lines)).discover(nowhere, found, stopping)
  const stop = async (): Promise<void> => {
    stopping.abort()
    await done
  }
  onTestFinished(stop)
  const first = async <T extends Finding>(fits: (finding: Finding) => finding is T): Promise<T> =>
    new Promise((resolve) => {
      const look = (): void => {
        const match = findings.find(fits)
        if (match === undefined) return
        waiting.delete(look)
        resolve(match)
      }
      waiting.add(look)
      look()
    })
  return {
    findings,
    lines,
    stop,
    puncher: () => first((each): each is Puncher => each.kind === 'puncher'),
    news: (state) =>
      first((each): each is UpgradeNotice => isNotice(each) && each.what === 'upgrade' && each.state === state)
  }
}
