import { findTopology, type HostPlan, type Lab, openLab, type Topology, type TopologyName } from '@postern/lab'
import { type LabNode, type NodeConfig, startNode } from './nodes.js'

const wide = (address: string): HostPlan => ({
  links: [{ name: 'eth0', network: 'wan', addresses: [address] }],
  routes: [{ to: 'default', link: 'eth0' }]
})

export function withPeers(name: TopologyName): Topology {
  const topology = findTopology(name)
  if (topology === undefined) throw new Error(name)
  const hosts = Object.fromEntries(
    Object.entries(topology.hosts).map(([host, plan]) => [
      host,
      {
        ...plan,
        routes: plan.routes.map((route) => {
          if (route.via !== '11.0.0.1') return route
          const { via: _, ...rest } = route
          return rest
        })
      }
    ])
  )
  return {
    ...topology,
    hosts: {
      ...hosts,
      internet: wide('11.0.0.1/24'),
      alpha: wide('21.0.0.1/24'),
      bravo: wide('31.0.0.1/24'),
      charlie: wide('41.0.0.1/24'),
      outsider: wide('51.0.0.1/24')
    }
  }
}
