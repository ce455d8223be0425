import type {
  Ability,
  Clock,
  Endpoint,
  MultiaddrText,
  Network,
  Protocol,
  SharedUdpSocket,
  Strategy
} from '@postern/interface'

/** The kind of an ability. */
export type AbilityKind = Ability['kind']

/** The setup of a strategy under test. It does not list the abilities, since the suite finds them out. */
export interface Subject<W extends World = World> {
  /** Creates a new world for each test. Many are created. */
  world(): W | Promise<W>
  /** Creates the strategy in that world, as `pcp(options)` does. Called again to simulate another process. */
  create(world: W): Strategy | Promise<Strategy>
}

/** The clock of a world. A virtual clock, such as that of the testkit, has both members; a real clock has neither. */
export interface WorldClock extends Clock {
  /** Advances the time and runs everything that is due meanwhile. */
  advance?(ms: number): Promise<void>
  /** The number of pending sleeps. */
  readonly pending?: number
}

/**
 * The environment of a strategy. Optional members that are missing cannot be observed or changed; the tests that need
 * them are skipped with that reason.
 */
export interface World {
  /** The clock of the host. */
  readonly clock: WorldClock
  /** The network of the host, in which the strategy finds its abilities. */
  readonly network: Network
  /** Returns the current mappings of the gateway, of this host and of others. */
  mappings?(): readonly OutsideMapping[]
  /** Returns the number of requests from all hosts. */
  requests?(): number
  /** Returns the number of requests that would change mappings, whether they were carried out or not. */
  changes?(): number
  /** Returns the observed protocol violations, as text. */
  violations?(): readonly string[]
  /** Returns the number of sockets, processes or other handles that the strategy holds. */
  openHandles?(): number
  /** The faults that the suite may cause. */
  readonly faults?: WorldFaults
  /** An address that a witness can dial. */
  readonly address?: MultiaddrText
  /** A socket for an observer. */
  readonly tap?: SharedUdpSocket
  /** The endpoint to which a forwarder carries connections. An application listens there. It answers a connection with
   * the port of the endpoint, a space, and what it received until the end: `8080 hello`. */
  readonly endpoint?: Endpoint
  /** A second endpoint with such an application. */
  readonly otherEndpoint?: Endpoint
  /** Connects to an address and port as a client outside does, sends a text and the end, and resolves with what comes
   * back until the end. Rejects if the connection fails. */
  exchange?(external: { readonly address: string; readonly port: number }, text: string): Promise<string>
  /** A peer to which a puncher can connect directly. */
  readonly peerId?: string
  /** Called at the end of the test. */
  close?(): void | Promise<void>
}

/** Faults of the gateway or party. Each call resolves when the fault is active. */
export interface WorldFaults {
  /** Stops all answers. */
  silence?(): void | Promise<void>
  /** Refuses all requests that would change mappings. */
  refuse?(): void | Promise<void>
  /** Maps this external port to another host. */
  occupy?(protocol: Protocol, externalPort: number): void | Promise<void>
  /** Limits granted lifetimes to ten minutes. */
  shorten?(): void | Promise<void>
  /** Delays every answer by this time, in milliseconds. */
  slow?(ms: number): void | Promise<void>
  /** Loses all mappings. */
  reboot?(): void | Promise<void>
  /** Changes the external IPv4 address. Mappings stay. */
  move?(): void | Promise<void>
  /** Ends all connections of a forwarder with this host. It lends ports again when it is asked. */
  cut?(): void | Promise<void>
  /** Makes a forwarder lend ports that do not lead to this host. */
  misdirect?(): void | Promise<void>
}

/** One mapping of the gateway, or of an equivalent service. */
export interface OutsideMapping {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The external address. */
  readonly externalAddress: string
  /** The external port. */
  readonly externalPort: number
  /** The address of the host. */
  readonly internalAddress: string
  /** The port of the host. */
  readonly internalPort: number
  /** The end of the mapping on the world's monotonic clock, or `Infinity`. */
  readonly expiresAt: number
}
