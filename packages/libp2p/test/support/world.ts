import { canRunLab, type Lab, openLab, type Topology, type TopologyName, withPeers, withStun } from '@postern/lab'
import { type LabNode, type NodeConfig, startNode } from './nodes.js'

export const support = await canRunLab()
/** The reason why lab tests are skipped here, for the test name. */
export const skipped = support.ok ? '' : ` (${support.reason})`

export const peerHosts = ['alpha', 'bravo', 'charlie'] as const
export type PeerHost = (typeof peerHosts)[number]

/** A lab with three public libp2p nodes; each is a relay and an AutoNAT server. */
export interface World extends AsyncDisposable {
  readonly lab: Lab
  readonly peers: Readonly<Record<PeerHost, LabNode>>
  /** The addresses of all three nodes. */
  readonly peerAddresses: readonly string[]
  /** Their IPv6 addresses; none if the topology has no IPv6. */
  readonly peerAddresses6: readonly string[]
  /** Restarts a peer with the same peer id. */
  restart(host: PeerHost): Promise<void>
  /** Starts a node behind the router. It listens on port 4001 and connects to the three peers. */
  startHome(config?: NodeConfig, host?: string): Promise<LabNode>
}

export async function openWorld(
  topology: TopologyName | Topology,
  changes: Partial<Record<PeerHost, NodeConfig>> = {},
  hasStun = false
): Promise<World> {
  const lab = await openLab(hasStun ? withStun(topology) : withPeers(topology))
  const placesOf = (host: PeerHost): readonly string[] => {
    const links = lab.topology.hosts[host]?.links.flatMap(({ addresses }) => addresses) ?? []
    return links.map((each) => `/ip${each.includes(':') ? 6 : 4}/${each.replace(/\/.*/, '')}/tcp/4001`)
  }
  const start = (host: PeerHost): Promise<LabNode> => {
    const addresses = placesOf(host)
    const config: NodeConfig = {
      seed: 1 + peerHosts.indexOf(host),
      listen: addresses,
      announce: addresses,
      relayServer: {},
      autonatServer: true,
      ...changes[host]
    }
    return startNode(lab, host, config)
  }
  const [alpha, bravo, charlie] = await Promise.all([start('alpha'), start('bravo'), start('charlie')])
  const peers = { alpha, bravo, charlie }
  const peerAddresses = peerHosts.map((host) => `/ip4/${lab.address(host)}/tcp/4001/p2p/${peers[host].peerId}`)
  const peerAddresses6 = peerHosts.flatMap((host) =>
    placesOf(host)
      .filter((each) => each.startsWith('/ip6/'))
      .slice(0, 1)
      .map((each) => `${each}/p2p/${peers[host].peerId}`)
  )
  return {
    lab,
    peers,
    peerAddresses,
    peerAddresses6,
    async restart(host) {
      await peers[host].kill()
      peers[host] = await start(host)
    },
    startHome: (config = {}, host = 'home') =>
      startNode(lab, host, { listen: ['/ip4/0.0.0.0/tcp/4001'], connect: peerAddresses, nat: {}, ...config }),
    [Symbol.asyncDispose]: () => lab.close()
  }
}
