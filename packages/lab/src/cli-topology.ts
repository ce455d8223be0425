import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { maxLifetimeMs } from './check-router.js'
import { withPeers, withStun } from './peers.js'
import { findTiers } from './tiers.js'
import { findTopology, topologies } from './topologies.js'
import type { Topology } from './topology.js'
import { withRouter } from './with-router.js'

/** The options of the command line that change a topology, as `run` and `show` accept them. */
export interface TopologyOptions {
  readonly peers?: boolean
  readonly stun?: boolean
  readonly forward?: Ports
  readonly mappingLifetime?: number
}

interface Ports {
  readonly external: number
  readonly internal: number
}

/** Adds the options that change a topology to a command. */
export function takeTopologyOptions(command: Command): Command {
  return command
    .option('--peers', 'with the public hosts alpha, bravo, charlie and outsider on the internet')
    .option('--stun', 'also with STUN servers on alpha (21.0.0.1, 21.0.0.2) and bravo (31.0.0.1)')
    .option(
      '--forward <port>',
      'forward a port (TCP and UDP) to home by hand: 4001, or 5001:4001; in cloud, let it in instead of 4001',
      parsePorts
    )
    .option('--mapping-lifetime <ms>', 'the lifetime of the UDP mappings of every NAT, in whole seconds', parseLifetime)
}

/** Ends the program with a message and an exit code. */
export class Stop extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Returns the topology of a name with the options. Throws a Stop for an unknown name, or an option that it cannot have. */
export function topologyNamed(name: string, options: TopologyOptions): Topology {
  const { peers = false, stun = false, forward, mappingLifetime } = options
  let topology = findTopology(name) ?? findTiers(name)
  if (topology === undefined)
    throw new Stop(
      2,
      `There is no topology ${name}. The topologies are: ${topologies.map((each) => each.name).join(', ')}`
    )
  if (forward !== undefined) topology = withForward(topology, forward)
  if (mappingLifetime !== undefined) topology = withLifetime(topology, mappingLifetime)
  if (stun) return withStun(topology)
  return peers ? withPeers(topology) : topology
}

/** Adds a port forward to `home` in its router, or replaces the ports of the firewall in front of an exposed host. */
function withForward(topology: Topology, { external, internal }: Ports): Topology {
  const { router, home } = topology.hosts
  const [uplink] = home?.links ?? []
  const address = uplink?.addresses.find((each) => !each.includes(':'))?.split('/')[0]
  const lan = router?.links.find((link) => link.name === router.router?.lan)
  if (router?.router === undefined || address === undefined || uplink?.network !== lan?.network)
    throw new Stop(2, `In ${topology.name}, no router is in front of home, so no port can be forwarded`)
  const { exposedHost } = router.router
  if (exposedHost?.ports === undefined)
    return withRouter(topology, { portForwards: [{ externalPort: external, address, internalPort: internal }] })
  if (external !== internal) throw new Stop(2, `The firewall of ${topology.name} does not change ports: name one port`)
  return withRouter(topology, { exposedHost: { ...exposedHost, ports: [external] } })
}

function withLifetime(topology: Topology, mappingLifetimeMs: number): Topology {
  const routers = Object.entries(topology.hosts).flatMap(([name, { router }]) => (router === undefined ? [] : [name]))
  return routers.reduce<Topology>((each, router) => withRouter(each, { mappingLifetimeMs }, router), topology)
}

function parsePorts(text: string): Ports {
  const [external = 0, internal = external, ...rest] = text.split(':').map(Number)
  const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535
  if (!isPort(external) || !isPort(internal) || rest.length > 0)
    throw new InvalidArgumentError('Must be a port from 1 to 65535, or two, as in 5001:4001.')
  return { external, internal }
}

function parseLifetime(text: string): number {
  const ms = Number(text)
  if (!(ms % 1000 === 0 && ms >= 1000 && ms <= maxLifetimeMs))
    throw new InvalidArgumentError(`Must be whole seconds from 1000 to ${maxLifetimeMs} milliseconds.`)
  return ms
}
