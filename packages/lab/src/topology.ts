/** What a lab is made of, as data. `openLab` takes one of these or the name of one in `topologies.ts`. */
export interface Topology {
  readonly name: string
  /** One line: what is particular here. */
  readonly description: string
  /** By name. Names are used as namespace names: lower case letters, digits and hyphens. */
  readonly hosts: Readonly<Record<string, HostPlan>>
}

export interface HostPlan {
  /** The first link is the one that `address(host)` speaks of. */
  readonly links: readonly LinkPlan[]
  readonly routes: readonly RoutePlan[]
  /** Present where the host forwards for others. */
  readonly router?: RouterPlan
  /**
   * A STUN server (coturn) on every address of the host, UDP and TCP port 3478. `behaviour-discovery`: RFC 5780 too, with
   * the alternate port 3479; it takes two addresses of a family. @default none
   */
  readonly stun?: 'plain' | 'behaviour-discovery'
}

/** A cable between an interface of the host and a network; whatever names the same network is on one segment. */
export interface LinkPlan {
  /** Interface name in the host, at most 15 characters. */
  readonly name: string
  readonly network: string
  /** Addresses with prefix length, as in `192.168.1.2/24`. */
  readonly addresses: readonly string[]
}

export interface RoutePlan {
  /** `default`, `default6` or a prefix. */
  readonly to: string
  /** The next hop; without one, everything is taken to be on the link, as in a tunnel. */
  readonly via?: string
  /** Interface name. */
  readonly link: string
  readonly metric?: number
}

export interface RouterPlan {
  /** Interface name of the inner side. */
  readonly lan: string
  /** Interface name of the outer side. */
  readonly wan: string
  /** `port-preserving`: `masquerade`, the mapping does not depend on the destination. `symmetric`: a random port for each. */
  readonly nat: 'port-preserving' | 'symmetric'
  /**
   * Whose datagrams come in through a UDP mapping that one outwards made (RFC 4787, section 5): anybody's, those of
   * addresses that were sent something, or of addresses and ports. @default 'address-and-port-dependent'
   */
  readonly filtering?: 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'
  /** Whether what the LAN sends to the IPv4 address of the outer side goes round as if from outside. @default false */
  readonly hairpin?: boolean
  /**
   * What is done with unwanted datagrams and connections from outside. `reject`: RST for TCP, ICMP port unreachable for
   * the rest; `icmp`: port unreachable for TCP too; `icmp-prohibited`: administratively prohibited for everything.
   */
  readonly wanInput: 'drop' | 'reject' | 'icmp' | 'icmp-prohibited'
  /** What happens to the mapping protocols of the LAN; a daemon, nothing there (refused), or no answer at all. */
  readonly mapping: DaemonPlan | 'refused' | 'silent'
  /** What hosts of the LAN may send to the outside. @default 'all' */
  readonly forwards?: 'all' | 'tcp'
  /** Answers ARP for everything, for links whose hosts have a route without next hop. @default false */
  readonly proxyArp?: boolean
}

/** What miniupnpd offers to the LAN. */
export interface DaemonPlan {
  readonly upnp: 'igd2' | 'igd1' | false
  readonly natPmp: boolean
  readonly pcp: boolean
  /** An external address that the daemon claims whatever its WAN interface has. */
  readonly claimedAddress?: string
  /** Pinholes in the IPv6 firewall too. @default false */
  readonly ipv6?: boolean
}

/** The TCP port of UPnP's description and control, until `reboot` names another. */
export const defaultControlPort: number = 5000
