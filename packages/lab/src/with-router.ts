import { getTopology } from './topologies.js'
import type { RouterPlan, Topology } from './topology.js'
import type { TopologyName } from './topology-names.js'

/**
 * Returns the topology with other options of one of its routers, as in
 * `withRouter('forwarded', { portForwards: [{ externalPort: 5001, address: '192.168.1.2', internalPort: 4001 }] })`.
 * Throws a TypeError for an unknown topology, or if the host is not a router.
 */
export function withRouter(
  topology: TopologyName | Topology,
  plan: Partial<RouterPlan>,
  router: string = 'router'
): Topology {
  const { name, description, hosts } = typeof topology === 'string' ? getTopology(topology) : topology
  const host = hosts[router]
  if (host?.router === undefined) throw new TypeError(`The topology ${name} has no router ${router}`)
  return { name, description, hosts: { ...hosts, [router]: { ...host, router: { ...host.router, ...plan } } } }
}
