import type { RouterPlan, Topology, TopologyName } from '../../src/index.js'
import { getTopology } from '../../src/topologies.js'

/** Returns a topology with another router plan. */
export function behind(name: TopologyName, plan: Partial<RouterPlan>): Topology {
  const topology = getTopology(name)
  const router = topology.hosts['router']
  if (router?.router === undefined) throw new Error(`${name} has no router`)
  return { ...topology, hosts: { ...topology.hosts, router: { ...router, router: { ...router.router, ...plan } } } }
}
