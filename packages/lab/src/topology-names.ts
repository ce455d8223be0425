import type { Topology } from './topology.js'

/** The names that `openLab` and `postern-lab run` accept. */
export type TopologyName =
  | 'home'
  | 'home-upnp'
  | 'home-igd1'
  | 'home-nat-pmp'
  | 'home-pcp'
  | 'home-reject'
  | 'no-daemon'
  | 'silent'
  | 'udp-blocked'
  | 'symmetric'
  | 'cloud'
  | 'dmz'
  | 'forwarded'
  | 'full-cone'
  | 'double-nat'
  | 'double-nat-upnp'
  | 'carrier-nat'
  | 'carrier-nat-upnp'
  | 'lying'
  | 'double-nat-mapped'
  | 'double-nat-refused'
  | 'triple-nat'
  | 'two-gateways'
  | 'two-default-routes'
  | 'two-uplinks'
  | 'two-homes'
  | 'ipv6-firewall'
  | 'nat64'
  | '464xlat'
  | 'ds-lite'
  | 'captive-portal'
  | 'host-firewall'
  | 'container-bridge'
  | 'vpn-default-route'

/** A topology of the lab with its name. */
export interface NamedTopology extends Topology {
  /** The name, as in `postern-lab list`. */
  readonly name: TopologyName
}
