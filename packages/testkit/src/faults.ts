/** A service of the gateway, to which a fault can be limited. */
export type Service = 'nat-pmp' | 'pcp' | 'ssdp' | 'description' | 'control'

/** The services that a fault affects, and how often. */
export interface FaultScope {
  /** The affected services. @default every service to which the fault applies */
  readonly on?: Service | readonly Service[]
  /** The number of strikes, after which the fault ends. @default no limit */
  readonly times?: number
  /** The number of requests that the fault leaves alone first. @default 0 */
  readonly after?: number
}

/** The context of one reply, for the fault `mangle` of {@link Fault}. */
export interface ReplyContext {
  /** The service that replies. */
  readonly service: Service
  /** The bytes of the request; over HTTP, its body. */
  readonly request: Uint8Array
  /** The sender of the request. */
  readonly from: { readonly address: string; readonly port: number }
}

/** A fault of real or hostile gateways. */
export type Fault = FaultScope &
  (
    | // ---- no usable reply
    {
        /** Does not answer. With `carriedOut`, the request takes effect and only the answer is lost. */
        readonly kind: 'silent'
        readonly carriedOut?: boolean
      }
    /** Nothing listens on the service's port. `nat-pmp` and `pcp` share one, `description` and `control` too. */
    | { readonly kind: 'refuse' }
    /**
     * Answers with these bytes instead (over HTTP: with this body). `oversized` is 1,104 bytes over UDP, 10 MB over
     * HTTP.
     */
    | { readonly kind: 'bytes'; readonly bytes: 'empty' | 'one-byte' | 'oversized' | 'random' | Uint8Array }
    /** Truncates the answer to this number of bytes. */
    | { readonly kind: 'truncate'; readonly length: number }
    /** Replaces the reply by any number of replies. If the function returns undefined, the reply is sent unchanged. */
    | {
        readonly kind: 'mangle'
        /** Returns the replies that are sent. */
        readonly mangle: (reply: Uint8Array, context: ReplyContext) => readonly Uint8Array[] | undefined
      }
    // ---- a correct reply in a wrong way
    /** Over UDP: answers from another address of the machine, or another port. */
    | { readonly kind: 'wrong-source'; readonly what: 'address' | 'port' }
    /** Delays answers; over SOAP those of all actions, or of this one. The request takes effect before the delay. */
    | { readonly kind: 'late'; readonly ms: number; readonly action?: string }
    /** Sends each datagram this number of times. @default 2 */
    | { readonly kind: 'duplicate'; readonly copies?: number }
    /** Over UDP: repeats its previous answer before it answers the next request. */
    | { readonly kind: 'stale' }
    /** Flips every bit of one field in answers of NAT-PMP and PCP, or writes `value` into a numeric field. */
    | {
        readonly kind: 'wrong-field'
        readonly field: 'version' | 'opcode' | 'response-bit' | 'nonce' | 'internal-port' | 'protocol'
        readonly value?: number
      }
    /** Reports this number of seconds since its epoch in NAT-PMP and PCP. */
    | { readonly kind: 'epoch'; readonly seconds: number }
    // ---- refusals
    /** Speaks NAT-PMP only: answers PCP as an unknown version (RFC 6886 §3.5). */
    | { readonly kind: 'downgrade' }
    /**
     * Answers NAT-PMP and PCP requests with this result code. The lifetime is the error lifetime of PCP. @default that
     * of the RFC
     */
    | { readonly kind: 'result'; readonly code: number; readonly lifetimeSeconds?: number; readonly opcode?: number }
    /** Answers all actions, or this one, with a SOAP fault. */
    | { readonly kind: 'soap-fault'; readonly code: number; readonly action?: string }
    /** Accepts only mappings without an end. @default 725 */
    | { readonly kind: 'only-permanent'; readonly code?: number }
    /** Accepts only mappings with an end; answers 402 otherwise. */
    | { readonly kind: 'no-permanent' }
    /** Accepts only an external port equal to the internal one (724 in UPnP; PCP and NAT-PMP grant no other port). */
    | { readonly kind: 'same-port' }
    /** Maps an internal port to one external port only; answers 718 for another one (UPnP). */
    | { readonly kind: 'one-external-port' }
    /** Maps external ports of this range only. UPnP refuses others with the code; NAT-PMP and PCP grant a port of the
     * range.
     * @default 606 */
    | { readonly kind: 'allowed-ports'; readonly first: number; readonly last: number; readonly code?: number }
    /**
     * Refuses a suggested external port, or leases above this number of seconds, instead of granting others (NAT-PMP,
     * PCP).
     */
    | { readonly kind: 'refuses'; readonly code: number; readonly port?: number; readonly aboveSeconds?: number }
    /** Rejects a suggested external port of 0 in NAT-PMP (2) and PCP (11), as RouterOS does. */
    | { readonly kind: 'no-any-port' }
    /** Behaves as miniupnpd with a reserved external address: NAT-PMP answers 3 with 0.0.0.0, PCP answers 8 with the
     * address inside, and UPnP is connected with an empty address and answers 501 to every mapping. */
    | { readonly kind: 'reserved-external-address' }
    // ---- false grants
    /** Grants mappings with an end without creating them; creates mappings without an end (UPnP). */
    | { readonly kind: 'drops-leases' }
    /** Shows no mappings in its list (UPnP). */
    | { readonly kind: 'unlisted' }
    /** Shows every lease in its list with this number of seconds left (UPnP). */
    | { readonly kind: 'shown-lease'; readonly seconds: number }
    /** Maps each external port to the internal port of the same number, whatever was requested (UPnP). */
    | { readonly kind: 'ignores-internal-port' }
    /** Accepts a renewal without extending the lease (UPnP). */
    | { readonly kind: 'unextended' }
    /** Grants these values instead of the requested ones. */
    | {
        readonly kind: 'grant'
        readonly lifetimeSeconds?: number
        readonly externalPort?: number
        readonly externalAddress?: string
      }
    /** Grants mappings without creating them. */
    | { readonly kind: 'lie' }
    /** Creates mappings and loses them after this time; with `leasesOnly`, mappings without an end stay. */
    | { readonly kind: 'forgetful'; readonly afterMs: number; readonly leasesOnly?: boolean }
    // ---- too slow or too simple
    /** Needs this time for each request, and drops requests meanwhile (HTTP: answers 503, or drops). */
    | { readonly kind: 'one-at-a-time'; readonly busyMs: number; readonly answer?: 'drop' | 503 }
    /** Drops a request that arrives sooner than this after the last answered one (HTTP: resets the connection). */
    | { readonly kind: 'rate-limited'; readonly everyMs: number }
    // ---- UPnP discovery
    /** Answers SSDP searches with this LOCATION. `{port}` and `{address}` stand for the correct values. */
    | { readonly kind: 'location'; readonly location: string }
    /** Answers only searches that were sent in this way. */
    | { readonly kind: 'hears-only'; readonly cast: 'multicast' | 'unicast' }
    /** Answers only these search targets. */
    | { readonly kind: 'search-targets'; readonly only: readonly string[] }
    // ---- HTTP and XML
    | {
        readonly kind: 'http'
        /**
         * - `redirect`: status 302 to `to`
         * - `status`: this status with the normal body
         * - `empty`: this status without a body
         * - `endless`: chunk after chunk without an end
         * - `drip`: the correct body, one byte every 100 ms
         * - `slow-headers`: one byte of the headers every 100 ms, without an end
         * - `hang`: accepts the connection and sends nothing
         * - `reset`: closes in the middle of the body
         * - `lower-case-headers`, `tight-headers` (no space after the colon), `no-content-length`, `chunked`: unusual,
         * but allowed
         * - `not-http`: a line of another protocol
         */
        readonly what:
          | 'redirect'
          | 'status'
          | 'empty'
          | 'endless'
          | 'drip'
          | 'slow-headers'
          | 'hang'
          | 'reset'
          | 'lower-case-headers'
          | 'tight-headers'
          | 'no-content-length'
          | 'chunked'
          | 'not-http'
        readonly to?: string
        /** The status of `status` and `empty`. @default 500 */
        readonly status?: number
        /** Affects only answers to this SOAP action. @default everything over HTTP */
        readonly action?: string
      }
    | {
        readonly kind: 'xml'
        /**
         * Hostile: `bomb` (nested entities), `doctype`, `external-entity`, `deep` (100,000 levels), `proto` (tags named
         * `__proto__`, `constructor`, `prototype`). Sloppy, as on real routers, and still to be understood:
         * `blank-before-declaration`, `bare-ampersand`, `junk-after-root`, `unclosed-tags`, `byte-order-mark`,
         * `trailing-nul`.
         */
        readonly what:
          | 'bomb'
          | 'doctype'
          | 'external-entity'
          | 'deep'
          | 'proto'
          | 'blank-before-declaration'
          | 'bare-ampersand'
          | 'junk-after-root'
          | 'unclosed-tags'
          | 'byte-order-mark'
          | 'trailing-nul'
      }
  )

/** The kind of a fault. */
export type FaultKind = Fault['kind']
/** The fault of one kind. */
export type FaultOf<K extends FaultKind> = Extract<Fault, { readonly kind: K }>

/** The active faults. */
export interface FaultList {
  readonly active: readonly Fault[]
  /** The faults that have struck at least once. */
  readonly struck: ReadonlySet<Fault>
  inject(fault: Fault): () => void
  /** Returns the first fault of this kind that strikes now, and counts the strike. */
  strike<K extends FaultKind>(
    kind: K,
    service: Service,
    applies?: (fault: FaultOf<K>) => boolean
  ): FaultOf<K> | undefined
  /** Returns whether there is such a fault. Counts no strike. */
  has(kind: FaultKind, service: Service): boolean
  clear(): void
}

/** Creates an empty list. `changed` is called after each change. */
export function createFaultList(changed: () => void): FaultList {
  const entries: { readonly fault: Fault; after: number; times: number }[] = []
  const struck = new Set<Fault>()

  const covers = (fault: Fault, service: Service): boolean =>
    fault.on === undefined || (typeof fault.on === 'string' ? fault.on === service : fault.on.includes(service))

  return {
    get active() {
      return entries.map(({ fault }) => fault)
    },
    struck,
    inject(fault) {
      const entry = { fault, after: fault.after ?? 0, times: fault.times ?? Number.POSITIVE_INFINITY }
      entries.push(entry)
      changed()
      return () => {
        const index = entries.indexOf(entry)
        if (index === -1) return
        entries.splice(index, 1)
        changed()
      }
    },
    strike<K extends FaultKind>(kind: K, service: Service, applies: (fault: FaultOf<K>) => boolean = () => true) {
      // Most gateways of a simulation have no faults.
      if (entries.length === 0) return undefined
      const isKind = (fault: Fault): fault is FaultOf<K> => fault.kind === kind
      for (const [index, entry] of entries.entries()) {
        const { fault } = entry
        if (!isKind(fault) || !covers(fault, service) || !applies(fault)) continue
        if (entry.after > 0) {
          entry.after -= 1
          continue
        }
        struck.add(fault)
        entry.times -= 1
        if (entry.times <= 0) {
          entries.splice(index, 1)
          changed()
        }
        return fault
      }
      return undefined
    },
    has(kind, service) {
      const found = entries.find(({ fault }) => fault.kind === kind && covers(fault, service))
      if (found !== undefined) struck.add(found.fault)
      return found !== undefined
    },
    clear() {
      if (entries.length === 0) return
      entries.length = 0
      changed()
    }
  }
}
