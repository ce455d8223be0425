/**
 * The contract, in one sentence: a strategy discovers abilities, an ability has one verb, what a verb grants is a lease.
 *
 * Everything here is a type. A strategy package needs nothing else to be usable by every framework that knows this file.
 */

/** Takes the host and returns one way to become reachable, to prove it, to learn something or to upgrade a connection.
 *
 * A function type and not a method, so that a strategy which needs more of its host (`Strategy<Libp2pHost>`) is not
 * accepted where only a plain host is offered. */
export type Strategy<H extends Host = Host> = (host: H) => Discovery

/** What a strategy may use of the program that runs it. */
export interface Host {
  readonly clock: Clock
  /** Uniform in [0, 1), for jitter only: keys and nonces come from `crypto`. */
  readonly random: () => number
  readonly log: Logger
}

/** One strategy at work on one host. */
export interface Discovery {
  /** The protocol's name in lower case, `nat-pmp` for example. It is what `--via` and the report call the strategy. */
  readonly name: string
  /** What it looks for, so that a report can tell before anything was found. */
  readonly kind?: Ability['kind']
  /** The one gateway it asks, where its user named one. It is used then although it may not be the default route. */
  readonly gateway?: string
  /** How many leases to hold where its abilities are relays and its user named a number; the policy's where not. */
  readonly count?: number
  /**
   * Finds abilities. Changes nothing on the network.
   *
   * Calls `found` at once for each ability and goes on with what is heard unasked until the signal aborts; holds no
   * socket afterwards. A second find on the same gateway and family, or with the same party, replaces the first.
   * Resolves when nothing more can come. Rejects with a {@link NatError} when nothing ever can on this host.
   */
  discover(network: Network, found: (finding: Finding) => void, call: CallOptions): Promise<void>
}

export type Finding = Ability | Notice
export type Ability = Mapper | Relay | Witness | Observer | Puncher

/** Grants external ports: one service, on one gateway, for one family. */
export interface Mapper {
  readonly kind: 'mapper'
  /** The router that does it; null where none does (a manual forward, `ssh -R`). Verbs of one gateway are called one at
   * a time. */
  readonly gateway: Gateway | null
  readonly family: Family
  readonly protocols: readonly Protocol[]
  /** Resolves with what was granted or rejects with a {@link NatError}. Aborted after its request has left, it first
   * undoes it, within 500 ms, and then rejects with the signal's reason. */
  map(request: MapRequest, call: CallOptions): Promise<Lease>
  /** Deletes what a `map` of this request has made, or may have made although it failed or was aborted. Takes as long as the
   * protocol needs to be sure. Resolves when nothing of it is left; what was never there is fine, and what belongs to
   * another host or endpoint stays. Without it the caller trusts `map` to have undone everything. */
  undo?(request: MapRequest, call: CallOptions): Promise<void>
  /** How long one verb may take by the schedule of the protocol on a slow router, in ms.
   * @default the limit of the caller */
  readonly timeoutMs?: number
  /** True where it asks no router or service, and only passes on what its user says: a forward that was made by hand. Such an
   * address counts for nothing until a witness has reached it.
   * @default false */
  readonly isClaim?: boolean
}

/** Forwards connections for us: one relay. */
export interface Relay {
  readonly kind: 'relay'
  readonly party: Party
  reserve(call: CallOptions): Promise<Lease>
}

/** Tries an address of ours from outside: one witness. */
export interface Witness {
  readonly kind: 'witness'
  readonly party: Party
  verify(address: MultiaddrText, call: CallOptions): Promise<Evidence>
}

/** Tells which address our datagrams seem to come from: one STUN server. */
export interface Observer {
  readonly kind: 'observer'
  readonly party: Party
  observe(tap: DatagramTap, call: CallOptions): Promise<Observation>
}

/** Makes a direct connection out of a relayed one; it appears among the host's connections. */
export interface Puncher {
  readonly kind: 'puncher'
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
}

/** Something a strategy wants known which is no ability. */
export type Notice =
  | {
      readonly kind: 'notice'
      /** Nothing found on this gateway so far. */
      readonly what: 'absent'
      readonly gateway: Gateway | null
      readonly reason: NatError
    }
  | {
      readonly kind: 'notice'
      /** The announcements of this gateway cannot be heard, so that a restart is noticed later. It may be found all the same. */
      readonly what: 'unheard'
      readonly gateway: Gateway | null
      readonly reason: NatError
    }
  | {
      readonly kind: 'notice'
      /** An ability went away, lost its state, now has another external address, or announced itself: it may have lost its state
       * although its clock does not show that. */
      readonly what: 'gone' | 'restarted' | 'address-changed' | 'announced'
      readonly about: Ability
    }
  | UpgradeNotice

/** How far a peer is on its way from a relayed connection to a direct one. */
export interface UpgradeNotice {
  readonly kind: 'notice'
  readonly what: 'upgrade'
  readonly about: Puncher
  readonly peer: string
  /** `relayed`: connected through a relay, and looked after. `punching`: the two sides agree on how to meet. */
  readonly state: 'relayed' | 'punching' | 'direct' | 'failed'
  /** Only with `direct`: the other end of the connection. */
  readonly address?: MultiaddrText
  /** Only with `failed`: why, in the strategy's own words, in kebab-case. */
  readonly cause?: string
}

export interface MapRequest {
  readonly endpoint: Endpoint
  /** The endpoint's own port, the user's choice, or the one remembered from last time. */
  readonly suggestedExternalPort: number
  readonly lifetimeMs: number
  /** 16 bytes, stored before the first request and the same ever after. Its first 12 are PCP's mapping nonce. */
  readonly key: Uint8Array
  /** What earlier leases of the strategy on this router told as their `quirks`. Words that it does not know are left out
   * of account. */
  readonly quirks?: readonly string[]
}

/** One granted thing. Immutable: `renew` gives its successor, and the old one is dead then. */
export interface Lease {
  /** What was granted, not what was asked. `0.0.0.0` stands for an external address that the router does not tell: the port
   * is granted, and the lease has a `caveat`. */
  readonly addresses: readonly MultiaddrText[]
  /** As granted, counted from the moment the reply came. `Infinity` never lapses. */
  readonly lifetimeMs: number
  /** What could not be checked of the grant, which holds all the same: the router does not tell its external address
   * (`EXTERNAL_ADDRESS_UNKNOWN`), or its list of mappings (`GRANT_UNCHECKED`). */
  readonly caveat?: NatError
  /** What the router was found to do otherwise than its protocol says, in words of the strategy: at most 8, of at most 40
   * characters. The caller keeps them, and passes them with every later request to the same router. */
  readonly quirks?: readonly string[]
  /** What one connection through it may carry, where a relay says so. */
  readonly limits?: RelayLimits
  renew(call: CallOptions): Promise<Lease>
  /** Twice is once. */
  release(call: CallOptions): Promise<void>
}

/** Beyond these a relay ends a connection. */
export interface RelayLimits {
  readonly durationMs?: number
  /** In each direction. */
  readonly bytes?: number
}

export interface Evidence {
  readonly outcome: 'reachable' | 'unreachable' | 'inconclusive'
  readonly reason?: NatError
}

/** What one server saw, and what it found out about the NAT where it can answer from other addresses (RFC 5780). A hint
 * for people and for hole punching: that somebody sees an address does not make it one that can be reached. */
export interface Observation {
  readonly address: MultiaddrText
  /** How the external port depends on the destination. Left out where the server has one address only. */
  readonly mapping?: Behaviour
  /** Whose datagrams come in. Left out where the server cannot answer from elsewhere. */
  readonly filtering?: Behaviour
  /** Whether what is sent to the external address from inside comes back in. Left out where it was not tried. */
  readonly hairpin?: 'works' | 'fails'
}

/** A local listening socket. The address is a concrete one wherever a strategy sees it, never `0.0.0.0` or `::`. */
export interface Endpoint {
  readonly protocol: Protocol
  readonly family: Family
  readonly address: string
  readonly port: number
}

/** A router that could translate for us. Both addresses may carry a zone (`fe80::1%eth0`). */
export interface Gateway {
  /** The next hop. `0.0.0.0` or `::` for a route that has none (a point-to-point link, most VPNs). */
  readonly address: string
  readonly interface: string
  /** Our own address on that link. */
  readonly localAddress: string
  /** Its hardware address where the system tells it: two networks may use the same addresses. */
  readonly mac?: string
}

/** Where this host stands. `gateways[0]` is the default route with the lowest metric. */
export interface Network {
  readonly gateways: readonly Gateway[]
  readonly addresses: readonly string[]
}

/** Somebody out there: a relay, witness or observer. `network` is its /16 (IPv4) or /32 (IPv6) prefix. */
export interface Party {
  readonly id: string
  readonly network: string
  readonly rttMs?: number
}

/** A UDP socket that the application owns and lends. */
export interface DatagramTap {
  readonly endpoint: Endpoint
  send(bytes: Uint8Array, to: { readonly address: string; readonly port: number }): void
  receive(
    each: (bytes: Uint8Array, from: { readonly address: string; readonly port: number }) => void,
    call: CallOptions
  ): void
}

export interface Clock {
  /** Never jumps; stands still, or not, while the machine sleeps. */
  monotonicMs(): number
  /** Unix time. Jumps when the machine wakes up or is set right. */
  wallMs(): number
  /** Resolves after `ms`; rejects with the signal's reason. */
  sleep(ms: number, call: CallOptions): Promise<void>
}

export interface Logger {
  debug(text: string): void
  info(text: string): void
}

export interface CallOptions {
  readonly signal: AbortSignal
}

/** What the network did to us. `code` is one of the registry's: compare it, never the text or the class. */
export interface NatError extends Error {
  readonly code: string
  /** How long the other side asked to be left alone. */
  readonly retryAfterMs?: number
  /** Of a `map`: the request was sent, no answer refused it, and deleting what it may have made was not confirmed. */
  readonly mayRemain?: boolean
}

/** A multiaddr as text, `/ip4/203.0.113.7/tcp/8080` for example. */
export type MultiaddrText = `/${string}`
export type Family = 4 | 6
export type Protocol = 'tcp' | 'udp'
/** RFC 4787 §4.1 and §5. */
export type Behaviour = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'
