import type { GatewayDevice, Protocol } from '@postern/interface'

/** What `postern doctor` found out about the network around this machine. Every text that comes from the network is
 * printable and cut to a length. */
export interface NeighbourhoodReport {
  /** The router as its UPnP description names it; null where none answered. */
  readonly router: GatewayDevice | null
  /** What is odd about the port mappings of the router; null where no router listed or granted any. */
  readonly mappings: MappingsReport | null
  /** Whether datagrams of this machine reach the internet, and answers come back. */
  readonly udp: 'works' | 'blocked' | 'unknown'
  /** How this machine can use IPv6. */
  readonly ipv6: Ipv6Report
  /** How the network carries one version of IP over the other; null where nothing shows that it does. */
  readonly translation: TranslationReport | null
  /** Whether a captive portal answers in place of the internet; null where no URL was given to test with. */
  readonly captivePortal: CaptivePortalReport | null
  /** The firewall of this machine; null where none was found. */
  readonly hostFirewall: HostFirewallReport | null
}

/** What is odd about the port mappings of the router. */
export interface MappingsReport {
  /** How the router deviates from what its protocol says, each word once. */
  readonly oddities: readonly MappingOddity[]
  /** How many mappings the router lists, those of all hosts together; 32 stands for 32 or more. Null where its list could not
   * be read to the end. */
  readonly listed: number | null
  /** Mappings of other hosts or programs that hold a port which was asked for. */
  readonly heldByOthers: readonly HeldMapping[]
}

/**
 * How a router deviates. `lifetime-zero`: it lists a mapping that ends as one without an end. `permanent-only`: it grants only
 * mappings without an end. `table-full`: it says that it has no room for another mapping. `grant-invalid`: it says that it granted a mapping,
 * and its own table or the rest of its answer contradicts that. `lifetime-longer`: it grants more time than was asked for.
 * `clock`: its clock jumped more than once within seconds.
 */
export type MappingOddity =
  | 'lifetime-zero'
  | 'permanent-only'
  | 'table-full'
  | 'grant-invalid'
  | 'lifetime-longer'
  | 'clock'

/** A mapping of another host or program. */
export interface HeldMapping {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The external port. */
  readonly externalPort: number
  /** Where the mapping leads to. */
  readonly internal: { readonly address: string; readonly port: number }
  /** What the program that made it calls it; null where it gave no name. */
  readonly description: string | null
  /** The time that is left of it, in seconds; null where it has no end, or none is told. */
  readonly lifetimeSeconds: number | null
  /** The program that listens at the internal port, if that is a port of this machine and the system tells; otherwise
   * null. */
  readonly program: string | null
}

/** How this machine can use IPv6. */
export interface Ipv6Report {
  /** `none`: this machine has no global IPv6 address, or no route for it. */
  readonly outbound: 'works' | 'fails' | 'none' | 'unknown'
  /** Whether connections from outside arrive. */
  readonly inbound: 'works' | 'blocked' | 'unknown'
}

/** How the network carries one version of IP over the other. */
export interface TranslationReport {
  /** `nat64`: RFC 6146. `464xlat`: RFC 6877. `ds-lite`: RFC 6333. */
  readonly kind: 'nat64' | '464xlat' | 'ds-lite'
  /** The IPv6 prefix of the translator; null where none is known. */
  readonly prefix: string | null
}

/** Whether a captive portal answers in place of the internet. */
export interface CaptivePortalReport {
  /** The URL that was fetched. */
  readonly url: string
  /** `none`: the URL answered as it should. */
  readonly state: 'none' | 'found' | 'unknown'
  /** Where the portal sends a browser; null where it names no place. */
  readonly location: string | null
}

/** The firewall of this machine. */
export interface HostFirewallReport {
  /** The program that manages its rules. */
  readonly tool: 'ufw' | 'firewalld' | 'nftables' | 'iptables' | 'windows' | 'macos'
  /** What it does with new TCP connections over IPv4 to the port that was tried. `inactive`: it is off, or has no rules. */
  readonly state: 'blocks' | 'lets-in' | 'inactive' | 'unknown'
  /** The rule that decides, or why the state is not known; null where there is nothing to say. */
  readonly reason: string | null
  /** With `blocks`, the command that lets connections to the port in; with `unknown`, the one that shows the rules. Null where there
   * is none. It contains `PORT` where the user named no port. */
  readonly command: string | null
}
