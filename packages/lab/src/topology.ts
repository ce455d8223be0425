/** The plan of a lab, as data. `openLab` accepts a topology or the name of one in `topologies.ts`. */
export interface Topology {
  /** The name of the topology. */
  readonly name: string
  /** One line about the topology. */
  readonly description: string
  /** The hosts by name. Names consist of lower-case letters, digits and hyphens, since they name the namespaces. */
  readonly hosts: Readonly<Record<string, HostPlan>>
}

/** The plan of one host. */
export interface HostPlan {
  /** The links. The first one is the uplink until `switchUplink`; `address(host)` refers to the uplink. */
  readonly links: readonly LinkPlan[]
  /** The routes. */
  readonly routes: readonly RoutePlan[]
  /** The router plan, if the host is a router. */
  readonly router?: RouterPlan
  /**
   * A STUN server (coturn) on every address of the host, at UDP and TCP port 3478. `behaviour-discovery` adds RFC 5780
   * with the alternate port 3479 and needs two addresses of a family. @default none
   */
  readonly stun?: 'plain' | 'behaviour-discovery'
  /** A DNS server (dnsmasq) on every address of the host, with the addresses of the names that it knows. Every host of the lab
   * uses it. @default none; the file of the system names servers that no lab reaches */
  readonly dns?: Readonly<Record<string, readonly string[]>>
  /** A translator between IPv4 and IPv6 (TAYGA), which needs `/dev/net/tun`. @default none */
  readonly translator?: TranslatorPlan
  /** A firewall of the host itself (nftables). It drops what comes from beyond the LAN, except replies, ICMP, and connections to
   * these TCP ports. @default none */
  readonly firewall?: { readonly ports: readonly number[] }
}

/** A NAT64 on a router (RFC 6146), or a CLAT on a host (RFC 6877). */
export type TranslatorPlan = {
  /** The prefix of translated IPv4 addresses, as in `64:ff9b::/96`. */
  readonly prefix: string
  /** The IPv6 address of the translator itself. */
  readonly ipv6: string
} & (
  | { readonly kind: 'nat64' }
  | {
      readonly kind: 'clat'
      /** The IPv4 address of the host. */
      readonly ipv4: string
      /** The IPv6 address to which it is translated. The router needs a route to it. */
      readonly mapped: string
    }
)

/** A cable between an interface of the host and a network. All links with the same network are on one segment. */
export interface LinkPlan {
  /** The interface name in the host, at most 15 characters. */
  readonly name: string
  /** The name of the network. */
  readonly network: string
  /** The addresses with prefix length, as in `192.168.1.2/24`. */
  readonly addresses: readonly string[]
  /** Whether the link is down until `switchUplink` or `linkUp`. @default false */
  readonly down?: boolean
  /** The delay of the cable in each direction, in milliseconds. @default 0 */
  readonly delayMs?: number
  /** The maximum of the additional random delay of each frame, in milliseconds. Frames keep their order. @default 0 */
  readonly jitterMs?: number
}

/** One route of a host. */
export interface RoutePlan {
  /** The destination: `default`, `default6` or a prefix. */
  readonly to: string
  /** The next hop. Without one, all destinations are on the link, as in a tunnel. */
  readonly via?: string
  /** The interface name. */
  readonly link: string
  /** The metric of the route. @default that of the kernel */
  readonly metric?: number
}

/** The plan of a router. */
export interface RouterPlan {
  /** The name of the inner interface. */
  readonly lan: string
  /** The name of the outer interface. */
  readonly wan: string
  /**
   * `port-preserving`: one mapping for all destinations (`masquerade`), at the port of the host. `port-changing`: one
   * mapping for all destinations, at another port: that of the host with bit 14 inverted. `symmetric`: a random port for
   * each destination.
   */
  readonly nat: 'port-preserving' | 'port-changing' | 'symmetric'
  /**
   * The remote endpoints that can send datagrams through a UDP mapping (RFC 4787, section 5): all of them, only
   * contacted addresses, or only contacted addresses and ports. @default 'address-and-port-dependent'
   */
  readonly filtering?: 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'
  /**
   * The time that a UDP mapping lives after its last outbound datagram, in milliseconds: whole seconds, as the kernel
   * counts. @default 120000; with the default filtering 30000 until the LAN has answered an answer
   */
  readonly mappingLifetimeMs?: number
  /**
   * Whether packets from the LAN to the external IPv4 address are handled as if they came from outside. @default false
   */
  readonly hairpin?: boolean
  /**
   * The handling of unsolicited packets from outside. `reject`: RST for TCP and ICMP port unreachable for the rest;
   * `icmp`: port unreachable for TCP too; `icmp-prohibited`: administratively prohibited for everything.
   */
  readonly wanInput: 'drop' | 'reject' | 'icmp' | 'icmp-prohibited'
  /** The mapping service for the LAN: a daemon, closed ports (`refused`), or dropped requests (`silent`). */
  readonly mapping: DaemonPlan | 'refused' | 'silent'
  /**
   * The port forwards that were set up by hand, each for TCP and UDP. Mappings of the daemon come first. `rules()` does
   * not list them, and no fault deletes them. @default none
   */
  readonly portForwards?: readonly PortForward[]
  /** The host that receives all unsolicited packets without a mapping or forward. @default none */
  readonly exposedHost?: ExposedHost
  /** The traffic that hosts of the LAN may send to the outside. @default 'all' */
  readonly forwards?: 'all' | 'tcp'
  /** Whether the router answers ARP for all addresses, for hosts with a route without a next hop. @default false */
  readonly proxyArp?: boolean
  /** The address of the login page to which the router leads every web page (TCP port 80) of the LAN. @default none */
  readonly captivePortal?: string
}

/** A port forward that was set up by hand, for TCP and UDP over IPv4. */
export interface PortForward {
  /** The port at the external address. */
  readonly externalPort: number
  /** The address of the host on the LAN. */
  readonly address: string
  /** The port of the host. @default the external port */
  readonly internalPort?: number
}

/** The host behind a 1:1 NAT, or the DMZ host of a home router. */
export interface ExposedHost {
  /** The IPv4 address of the host on the LAN. */
  readonly address: string
  /** The TCP and UDP ports that a firewall lets in. @default all ports, and every other protocol */
  readonly ports?: readonly number[]
}

/** The protocols that miniupnpd offers to the LAN. */
export interface DaemonPlan {
  /** The UPnP version, or `false` for no UPnP. */
  readonly upnp: 'igd2' | 'igd1' | false
  /** Whether the daemon answers NAT-PMP. */
  readonly natPmp: boolean
  /** Whether the daemon answers PCP. */
  readonly pcp: boolean
  /** The external address that the daemon claims instead of that of its WAN interface. */
  readonly claimedAddress?: string
  /**
   * Whether the daemon also maps while its WAN address is private or carrier-grade, as it does in some routers. It takes
   * a newer miniupnpd, which the lab fetches from a newer Debian. @default false
   */
  readonly mapsBehindNat?: boolean
  /** The maker and the model that the UPnP description names. @default those of the daemon's package */
  readonly device?: { readonly manufacturer: string; readonly model: string }
  /** Whether the daemon also opens pinholes in the IPv6 firewall. @default false */
  readonly ipv6?: boolean
}

/** The TCP port of the UPnP description and control, unless `reboot` changes it. */
export const defaultControlPort: number = 5000
