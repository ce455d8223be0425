/**
 * The contract, in one sentence: a strategy discovers abilities, an ability has one verb, what a verb grants is a
 * lease.
 *
 * This file contains only types. A strategy package that implements them works with every framework that uses them.
 */

/** Creates a {@link Discovery} for a host: one way to become reachable, to verify reachability, to observe the NAT or
 * to upgrade a connection.
 *
 * This is a function type and not a method, so that the compiler rejects a strategy that needs more of its host
 * (`Strategy<Libp2pHost>`) where only a plain host is offered. */
export type Strategy<H extends Host = Host> = (host: H) => Discovery

/** What the program that runs a strategy provides to it. */
export interface Host {
  /** The clock for every timer and time stamp of the strategy. */
  readonly clock: Clock
  /** Returns a number in [0, 1), uniformly distributed. Only for jitter: keys and nonces come from `crypto`. */
  readonly random: () => number
  /** The log of the program. */
  readonly log: Logger
  /** Tells the host of each connection that a forwarder carries to an endpoint, before the listener accepts it: the
   * listener sees the address of this host, and not that of the client.
   * @default the host does not want to know */
  readonly carried?: (connection: CarriedConnection) => void
}

/** A connection that a forwarder carries to an endpoint of this host. */
export interface CarriedConnection {
  /** The address at which the listener sees the other end: an address of this host. */
  readonly localAddress: string
  /** The port at which the listener sees the other end. */
  readonly localPort: number
  /** The address and port of the client, as the forwarder tells them; null if it does not. A forwarder can lie. */
  readonly client: { readonly address: string; readonly port: number } | null
  /** The forwarder. */
  readonly party: RemoteParty
}

/** A host that owns a listening server or socket, and lends strategies what arrives at it. A witness strategy for plain
 * programs needs it as proof. */
export interface ServerHost extends Host {
  /** Calls `each` with every arrival at an endpoint, until the signal aborts: each new TCP connection, or each UDP
   * datagram. It is called before the application handles the arrival. What `at` leaves out may have any value. The
   * host listens only while there is a caller. Throws the {@link NatError} `UNSUPPORTED` if the host cannot see such
   * arrivals at present, with the reason: nothing can be proven then. */
  arrivals(
    at: Pick<Endpoint, 'protocol'> & Partial<Endpoint>,
    each: (arrival: Arrival) => void,
    call: CallOptions
  ): void
}

/** One TCP connection that was accepted, or one UDP datagram that was received. Addresses are canonical: an IPv4 address
 * is never in its IPv4-mapped IPv6 form. */
export interface Arrival {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The address of the other end, as the kernel reports it. A router or forwarder on the way may have replaced it. */
  readonly remoteAddress: string
  /** The port of the other end. */
  readonly remotePort: number
  /** The address of this host. May be a wildcard for UDP, where the kernel does not report it. */
  readonly localAddress: string
  /** The port of the endpoint. */
  readonly localPort: number
  /** Only for UDP: the datagram. */
  readonly bytes?: Uint8Array
  /** Tells the host that a witness caused this arrival, so that the application can tell it from those of its users.
   * Idempotent. */
  recognize(): void
}

/** One strategy that runs on one host. */
export interface Discovery {
  /** The protocol's name in lower case, `nat-pmp` for example. `--via` and the report use it as the name of the
   * strategy. */
  readonly name: string
  /** The kind of ability that it looks for, so that a report can show it before anything was found. */
  readonly kind?: Ability['kind']
  /** The one gateway that it asks, if the user named one. That gateway is used even if it is not the default route. */
  readonly gateway?: string
  /** Whether it also asks routers behind the next hop: gateways with `through`. The caller may then call `discover` once
   * more with such gateways, while the first call runs. @default false */
  readonly asksBeyond?: boolean
  /** For relays and forwarders: how many leases to hold, of a forwarder for each endpoint. @default the number of the
   * policy */
  readonly count?: number
  /**
   * Finds abilities. Changes nothing on the network.
   *
   * Calls `found` immediately for each ability, and continues to report announcements until the signal aborts. Closes
   * all sockets before it settles. A later finding for the same gateway and family, or for the same remote party,
   * replaces the earlier one.
   *
   * Resolves when nothing more can be found, and at the latest when the signal aborts. Rejects with a {@link NatError}
   * if the strategy cannot find anything on this host.
   */
  discover(network: Network, found: (finding: Finding) => void, call: CallOptions): Promise<void>
}

/** What a discovery reports: an ability that it found, or a notice about one. */
export type Finding = Ability | Notice
/** Something that a strategy can do, told apart by `kind`. */
export type Ability = Mapper | Relay | Forwarder | Witness | Observer | Puncher

/** Maps external ports: one service, on one gateway, for one address family. */
export interface Mapper {
  /** Tells this ability from the others. */
  readonly kind: 'mapper'
  /** The router that maps; null if no router is asked (a manual forward, `ssh -R`). The caller makes only one call at a
   * time per gateway. */
  readonly gateway: Gateway | null
  /** The family of the endpoints that it maps. */
  readonly family: Family
  /** The transport protocols that it maps. */
  readonly protocols: readonly Protocol[]
  /**
   * Maps an external port to an endpoint. Resolves with the lease that was granted.
   *
   * Rejects with the signal's reason after an abort. If the request was already sent, it first deletes the mapping,
   * within 500 ms. Otherwise rejects with a {@link NatError}:
   * - no usable reply: `NO_REPLY`, `REFUSED`, `UNREACHABLE`, `MALFORMED_REPLY`, `REPLY_TOO_LARGE`, `UNTRUSTED_REPLY`;
   * - the gateway refuses: `NO_SERVICE`, `UNSUPPORTED_VERSION`, `UNSUPPORTED`, `NOT_AUTHORIZED`, `NETWORK_FAILURE`,
   *   `OUT_OF_RESOURCES`, `QUOTA_EXCEEDED`, `MALFORMED_REQUEST`, `ADDRESS_MISMATCH`, `CONFLICT`, `SAME_PORT_REQUIRED`,
   *   `ONLY_PERMANENT_LEASES`, `PINHOLES_DISABLED`, `GATEWAY_FAULT`;
   * - the grant cannot be used: `GRANT_INVALID`, `MAPPING_LOST`, `CARRIER_NAT`, `DOUBLE_NAT`,
   *   `EXTERNAL_ADDRESS_RESERVED`;
   * - the router is not the next hop and was not named: `SECONDARY_GATEWAY`.
   */
  map(request: MapRequest, call: CallOptions): Promise<Lease>
  /** Deletes the mapping that a `map` of this request created, or may have created although it failed or was aborted.
   * Takes as long as the protocol needs to be sure. Resolves when no such mapping is left, also if there was none.
   * Mappings of other hosts and endpoints stay. Rejects with the codes of `map`. Without this method the caller assumes
   * that `map` has deleted everything. */
  undo?(request: MapRequest, call: CallOptions): Promise<void>
  /** Reads mappings that the gateway holds, those of other hosts too, and changes nothing. Calls `each` with every mapping as it is read:
   * first with those at the given external ports, then with others, up to a limit of its own. A mapping may come twice.
   *
   * Resolves with whether it has read all: false if the gateway does not tell, or holds more. Rejects with the signal's reason,
   * or with the codes of `map`. Without this method the mappings of the gateway cannot be read. */
  list?(
    ports: readonly Pick<ListedMapping, 'protocol' | 'externalPort'>[],
    each: (mapping: ListedMapping) => void,
    call: CallOptions
  ): Promise<boolean>
  /** How long one call may take by the retransmission schedule of the protocol on a slow router, in milliseconds.
   * @default the limit of the caller */
  readonly timeoutMs?: number
  /** True if it asks no router or service, and only passes on what the user configured: a forward that was made by
   * hand. Such an address does not count as reachable until a witness has reached it.
   * @default false */
  readonly isClaim?: boolean
}

/** A mapping that a gateway lists. It is what the gateway says, and proves nothing. */
export interface ListedMapping {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The external port. */
  readonly externalPort: number
  /** The internal address; a few routers write the name of the host instead. Printable, and at most 64 UTF-16 units. */
  readonly internalAddress: string
  /** The internal port. */
  readonly internalPort: number
  /** What the program that made the mapping calls it; null if it gave no name. Printable, and at most 64 UTF-16 units. */
  readonly description: string | null
  /** The time that is left, in milliseconds; `Infinity` for a mapping that the gateway lists without an end. */
  readonly remainingMs: number
}

/** One relay, which forwards connections to this host. */
export interface Relay {
  /** Tells this ability from the others. */
  readonly kind: 'relay'
  /** The relay. */
  readonly party: RemoteParty
  /** Reserves a place on the relay (circuit relay v2). Resolves with the lease; its addresses lead through the relay.
   *
   * Rejects with the signal's reason, or with a {@link NatError}: `NO_REPLY`, `MALFORMED_REPLY`, `REPLY_TOO_LARGE`,
   * `UNSUPPORTED`, `NOT_AUTHORIZED`, `OUT_OF_RESOURCES`, `MALFORMED_REQUEST`, `GATEWAY_FAULT`, `GRANT_INVALID`. */
  reserve(call: CallOptions): Promise<Lease>
}

/** Another host that lends one of its ports, and carries each connection to it on to an endpoint of this host. */
export interface Forwarder {
  /** Tells this ability from the others. */
  readonly kind: 'forwarder'
  /** The other host. */
  readonly party: RemoteParty
  /** The transport protocols that it carries. */
  readonly protocols: readonly Protocol[]
  /** Whether what it carries is encrypted between the other host and this one. */
  readonly isEncrypted: boolean
  /** Whether it tells the address of each client. The host then hears it through {@link Host.carried}. */
  readonly tellsClients: boolean
  /**
   * Takes a port of the other host for an endpoint. Resolves with the lease once a connection of this host to that
   * port has arrived here: a server that only says yes has proven nothing. No client reaches anything of this host but
   * the endpoint.
   *
   * Rejects with the signal's reason, or with a {@link NatError}: `NO_REPLY`, `REFUSED`, `UNREACHABLE`,
   * `MALFORMED_REPLY`, `REPLY_TOO_LARGE`, `UNTRUSTED_REPLY` (the host's key is not the known one), `UNSUPPORTED`,
   * `NOT_AUTHORIZED`, `CONFLICT` (the port is taken), `OUT_OF_RESOURCES`, `GRANT_INVALID` (no connection from outside
   * arrives), `GATEWAY_FAULT`.
   */
  forward(request: ForwardRequest, call: CallOptions): Promise<ForwardLease>
  /** How long one call of `forward` may take on a slow path, in milliseconds.
   * @default the limit of the caller */
  readonly timeoutMs?: number
}

/** What a forwarder is asked for. */
export interface ForwardRequest {
  /** The endpoint to carry connections to, with a concrete address: a loopback address for a listener on all
   * addresses. */
  readonly endpoint: Endpoint
  /** The user's choice, the port that was granted last time, or the endpoint's own port. */
  readonly suggestedExternalPort: number
}

/** A port of another host. */
export interface ForwardLease extends Lease {
  /** Aborts when the lease has ended before its time, with a {@link NatError} as the reason. Established connections may
   * have ended with it. */
  readonly ended: AbortSignal
  /** Checks that the port still leads here. Resolves with the successor, which may have another address: the port that
   * was wanted at first may be free again. Rejects with the signal's reason or with the codes of `forward`. */
  renew(call: CallOptions): Promise<ForwardLease>
}

/** One witness, which dials an address of this host from outside. */
export interface Witness {
  /** Tells this ability from the others. */
  readonly kind: 'witness'
  /** The witness. */
  readonly party: RemoteParty
  /** The only family of the addresses that it dials. It is not asked about others.
   * @default both families */
  readonly family?: Family
  /** Asks the witness to dial the address. Resolves with what that shows. A witness that refuses, does not answer or
   * proves nothing gives the outcome `inconclusive` with a reason: `NO_REPLY`, `REFUSED`, `UNREACHABLE`,
   * `MALFORMED_REPLY`, `REPLY_TOO_LARGE`, `UNTRUSTED_REPLY`, `UNSUPPORTED`, `WITNESS_REFUSED`, `WITNESS_UNPROVEN`.
   *
   * Rejects with the signal's reason, or with the {@link NatError} `ADDRESS_NOT_ROUTABLE` for an address that no
   * witness is asked to dial: not a direct address, not a public one, or one of another peer. */
  verify(address: MultiaddrText, call: CallOptions): Promise<Evidence>
}

/** One STUN server, which reports the address that it sees the datagrams of this host come from. */
export interface Observer {
  /** Tells this ability from the others. */
  readonly kind: 'observer'
  /** The STUN server. */
  readonly party: RemoteParty
  /** Asks the server over the socket of the tap. Resolves with the address that the server saw.
   *
   * Rejects with the signal's reason, or with a {@link NatError}: `NO_REPLY`, `UNREACHABLE`, `MALFORMED_REPLY`,
   * `REPLY_TOO_LARGE`, `UNTRUSTED_REPLY` (the address cannot belong to this host), `OBSERVER_REFUSED`, `UNSUPPORTED`
   * (the server does not know the request, or is of another family than the socket). */
  observe(tap: SharedUdpSocket, call: CallOptions): Promise<Observation>
  /** Sends one request over the socket, which keeps its mapping in the NAT alive. Resolves with the address that the
   * server sees now. Rejects like `observe`. Without this method the mapping is not kept alive. */
  refresh?(tap: SharedUdpSocket, call: CallOptions): Promise<MultiaddrText>
  /** Finds out how long the NAT keeps an unused UDP mapping, with sockets of its own at this local address (RFC 5780
   * §4.6). Takes some minutes. Resolves with a time after which a mapping still existed, in milliseconds. Rejects like
   * `observe`; with `UNSUPPORTED` if the server cannot help. */
  lifetimeMs?(endpoint: Pick<Endpoint, 'address' | 'family'>, call: CallOptions): Promise<number>
}

/** Replaces a relayed connection with a direct one, which then is one of the host's connections. */
export interface Puncher {
  /** Tells this ability from the others. */
  readonly kind: 'puncher'
  /** Connects directly to a peer that is connected through a relay. Resolves with the address of the other end of the
   * direct connection.
   *
   * Rejects with the signal's reason, or with a {@link NatError}: `SYMMETRIC_NAT`, `REFUSED`, `NO_REPLY`, `UNREACHABLE`
   * (the relayed connection ended first), `EXTERNAL_ADDRESS_UNKNOWN` (no observer for the port), `UNSUPPORTED` (the
   * peer does not speak DCUtR), `GRANT_INVALID` (the peer named no public address), `QUOTA_EXCEEDED` (too many
   * attempts). */
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
}

/** An event that a strategy reports and that is not a new ability. */
export type Notice =
  | {
      readonly kind: 'notice'
      /** Nothing was found on this gateway so far. `gateway` is null if the strategy asks no gateway. */
      readonly what: 'absent'
      readonly gateway: Gateway | null
      readonly reason: NatError
    }
  | {
      readonly kind: 'notice'
      /** This host cannot receive the announcements of this gateway, so a restart is noticed later. The service may
       * still be found. */
      readonly what: 'unheard'
      readonly gateway: Gateway | null
      readonly reason: NatError
    }
  | {
      readonly kind: 'notice'
      /** `gone`: the ability went away. `restarted`: it lost its state. `address-changed`: it has another external
       * address. `announced`: it announced itself, and may have lost its state although its epoch does not show
       * that. */
      readonly what: 'gone' | 'restarted' | 'address-changed' | 'announced'
      readonly about: Ability
    }
  | UpgradeNotice
  | ObservedNotice
  | DescribedNotice

/** A router describes itself. It may do so without offering any ability. A later notice about the same gateway replaces
 * the earlier one. */
export interface DescribedNotice {
  /** Tells a notice from an ability. */
  readonly kind: 'notice'
  /** Tells this notice from the others. */
  readonly what: 'described'
  /** The router. */
  readonly gateway: Gateway
  /** What it says. */
  readonly device: GatewayDevice
}

/** A router as it describes itself: a claim. Each text is printable, not empty, and at most 64 UTF-16 units long. At
 * least one of them is not null. */
export interface GatewayDevice {
  /** The maker, `AVM Berlin` for example. */
  readonly manufacturer: string | null
  /** The model, `FRITZ!Box 7590` for example. */
  readonly model: string | null
  /** The name that the router, or its owner, gave to it. */
  readonly name: string | null
}

/** The address at which a remote party sees this host. It is what that party says, and proves nothing. */
export interface ObservedNotice {
  /** Tells a notice from an ability. */
  readonly kind: 'notice'
  /** Tells this notice from the others. */
  readonly what: 'observed'
  /** The party that sees this host. */
  readonly party: RemoteParty
  /** The address and port that it sees. */
  readonly address: MultiaddrText
  /** Whether the party dialled this address, and so reached a listener of this host. Otherwise it is the source of a
   * connection that this host opened: its IP address is the external one, and its port is that of no listener. */
  readonly isListener: boolean
}

/** Progress of the upgrade of one peer from a relayed connection to a direct one. */
export interface UpgradeNotice {
  /** Tells a notice from an ability. */
  readonly kind: 'notice'
  /** Tells this notice from the others. */
  readonly what: 'upgrade'
  /** The puncher that upgrades the connection. */
  readonly about: Puncher
  /** The id of the peer. */
  readonly peer: string
  /** `relayed`: connected through a relay, and an upgrade is planned. `punching`: the two sides agree on how to
   * connect. */
  readonly state: 'relayed' | 'punching' | 'direct' | 'failed'
  /** Only with `direct`: the address of the other end of the connection. */
  readonly address?: MultiaddrText
  /** Only with `failed`: the reason, a word of the strategy in kebab-case. */
  readonly cause?: string
}

/** What a mapper is asked to map. */
export interface MapRequest {
  /** The endpoint to map, with a concrete address. */
  readonly endpoint: Endpoint
  /** The endpoint's own port, the user's choice, or the port that was granted last time. */
  readonly suggestedExternalPort: number
  /** How long the lease should last, in milliseconds. */
  readonly lifetimeMs: number
  /** 16 bytes that never change for this endpoint, also across restarts. The first 12 are PCP's mapping nonce. */
  readonly key: Uint8Array
  /** The `quirks` of earlier leases of this strategy on this router. A strategy ignores words that it does not know. */
  readonly quirks?: readonly string[]
}

/** A granted mapping or reservation. Immutable: `renew` returns a new lease, and the old one must not be used
 * afterwards. */
export interface Lease {
  /** The external addresses that were granted, which may differ from those requested. `0.0.0.0` means that the router
   * granted the port and does not tell its external address; the lease then has a `caveat`. */
  readonly addresses: readonly MultiaddrText[]
  /** The granted lifetime in milliseconds, counted from the arrival of the reply. `Infinity` for a lease that never
   * expires. */
  readonly lifetimeMs: number
  /** Why the grant could not be checked completely, although it is valid: the router does not tell its external address
   * (`EXTERNAL_ADDRESS_UNKNOWN`) or its list of mappings (`GRANT_UNCHECKED`). */
  readonly caveat?: NatError
  /** How the router deviates from its protocol, in words of the strategy: at most 8, of at most 40 characters each. The
   * caller stores them, and passes them with every later request to the same router. */
  readonly quirks?: readonly string[]
  /** The limits of one connection through a relay, if the relay states them. */
  readonly limits?: RelayLimits
  /** Extends the lease. Resolves with its successor, which may have other addresses. Rejects with the signal's reason
   * or with the codes of the call that granted the lease (`map` or `reserve`); the old lease then stays valid until it
   * expires. */
  renew(call: CallOptions): Promise<Lease>
  /** Gives the lease back: deletes the mapping or ends the reservation. Resolves when that is confirmed. Idempotent
   * after it has resolved. Rejects with the signal's reason or with the codes of the call that granted the lease; it
   * may be called again. */
  release(call: CallOptions): Promise<void>
}

/** The limits at which a relay ends a connection. Absent: no limit. */
export interface RelayLimits {
  /** In milliseconds. */
  readonly durationMs?: number
  /** The number of bytes in each direction. */
  readonly bytes?: number
}

/** The result of a verification: whether a witness reached an address. */
export interface Evidence {
  /** `reachable`: the witness proved that it reached the address. `unreachable`: it could not. `inconclusive`: nothing
   * is known. */
  readonly outcome: 'reachable' | 'unreachable' | 'inconclusive'
  /** Why the outcome is not `reachable`. */
  readonly reason?: NatError
}

/** The address that one STUN server saw, and the NAT behaviour that it found if it can answer from other addresses (RFC
 * 5780). A hint for people and for hole punching: an address that a server sees is not necessarily reachable. */
export interface Observation {
  /** The external address and port of the socket, as UDP. */
  readonly address: MultiaddrText
  /** How the external port depends on the destination. Left out if the server has only one address. */
  readonly mapping?: Behaviour
  /** Which senders' datagrams the NAT lets in. Left out if the server cannot answer from another address. */
  readonly filtering?: Behaviour
  /** Whether the NAT returns datagrams that this host sends to its own external address. Left out if it was not
   * tested. */
  readonly hairpin?: 'works' | 'fails'
}

/** A local listening socket. Strategies always get a concrete address, never `0.0.0.0` or `::`. */
export interface Endpoint {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The family of the address. */
  readonly family: Family
  /** The local IP address. */
  readonly address: string
  /** The local port. */
  readonly port: number
}

/** A router through which this host may reach the internet. Both addresses may carry a zone (`fe80::1%eth0`). */
export interface Gateway {
  /** The address of the next hop. `0.0.0.0` or `::` for a route without one (a point-to-point link, most VPNs). */
  readonly address: string
  /** The name of the network interface. */
  readonly interface: string
  /** The address of this host on that link. */
  readonly localAddress: string
  /** Its hardware address, if the system tells it. It distinguishes networks that use the same IP addresses. */
  readonly mac?: string
  /** Only for a router behind the next hop. Nothing that is sent to it may pass it: datagrams have a time to live of
   * 2. A router that also answers at a time to live of 1 is the next hop itself, and is left out. An endpoint that is
   * mapped there is an external address and port of the next hop. */
  readonly through?: {
    /** The next hop, which translates the address of this host. */
    readonly gateway: Gateway
    /** The address at which the router beyond sees this host: the external address of the next hop. Undefined if the
     * next hop does not tell the true one. */
    readonly clientAddress?: string
  }
}

/** The network position of this host. `gateways[0]` is the default route with the lowest metric. */
export interface Network {
  /** The default gateways. */
  readonly gateways: readonly Gateway[]
  /** The IP addresses of this host. */
  readonly addresses: readonly string[]
}

/** A remote party: a relay, witness or STUN server. */
export interface RemoteParty {
  /** A peer id, or the address and port of a STUN server. */
  readonly id: string
  /** Its /16 (IPv4) or /32 (IPv6) prefix, as {@link networkPrefixOf} returns it. */
  readonly network: string
  /** The measured round-trip time, in milliseconds. */
  readonly rttMs?: number
}

/** A UDP socket that the application owns and shares. */
export interface SharedUdpSocket {
  /** Where the socket is bound, with a concrete address. */
  readonly endpoint: Endpoint
  /** Sends a datagram. Does not report a failure to send. */
  send(bytes: Uint8Array, to: { readonly address: string; readonly port: number }): void
  /** Calls `each` with every datagram that arrives, until the signal aborts. */
  receive(
    each: (bytes: Uint8Array, from: { readonly address: string; readonly port: number }) => void,
    call: CallOptions
  ): void
}

/** A source of time, in milliseconds. */
export interface Clock {
  /** Returns a time that never jumps. It may or may not advance while the machine sleeps. */
  monotonicMs(): number
  /** Returns the Unix time. It jumps when the machine wakes up or the clock is corrected. */
  wallMs(): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason. */
  sleep(ms: number, call: CallOptions): Promise<void>
}

/** The log of the program. `info`: one line for each change of state. `debug`: one line for each attempt. */
export interface Logger {
  /** Logs one attempt. */
  debug(text: string): void
  /** Logs a change of state. */
  info(text: string): void
}

/** The options of every call that touches the network. */
export interface CallOptions {
  /** Cancels the call, which then rejects with the signal's reason. */
  readonly signal: AbortSignal
}

/** An error that the network or the system caused. Compare `code`, never the message or the class. */
export interface NatError extends Error {
  /** A code of the registry, {@link errorCodes}. */
  readonly code: string
  /** How long the other side asked not to be asked again, in milliseconds. */
  readonly retryAfterMs?: number
  /** Only of `map`: the router may still hold a mapping. The request was sent, no answer refused it, and the deletion
   * was not confirmed. */
  readonly mayRemain?: boolean
  /** Only of `map`: the external address of the router, which it told with its refusal. */
  readonly externalAddress?: string
}

/** A multiaddr as text, `/ip4/203.0.113.7/tcp/8080` for example. */
export type MultiaddrText = `/${string}`
/** The version of the Internet Protocol. */
export type Family = 4 | 6
/** A transport protocol. */
export type Protocol = 'tcp' | 'udp'
/** The mapping and filtering behaviours of NATs (RFC 4787 §4.1 and §5). */
export type Behaviour = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'
