/** Who of the gateway answers: what a fault is put on. */
export type Service = 'nat-pmp' | 'pcp' | 'ssdp' | 'description' | 'control'

/** Where and how often a fault strikes. */
export interface FaultScope {
  /** @default every service that the fault makes sense for */
  readonly on?: Service | readonly Service[]
  /** Strikes that often and is over then. @default for as long as it is not undone */
  readonly times?: number
  /** Lets that many go by first. @default 0 */
  readonly after?: number
}

/** What one reply is about to be, for {@link Fault} `mangle`. */
export interface ReplyContext {
  readonly service: Service
  readonly request: Uint8Array
  readonly from: { readonly address: string; readonly port: number }
}

/** Something that real gateways, or hostile ones, do. */
export type Fault = FaultScope &
  (
    | // ---- nothing usable comes back
    {
        /** Does not answer. With `carriedOut` the request takes effect and only the answer is lost. */
        readonly kind: 'silent'
        readonly carriedOut?: boolean
      }
    /** Nothing listens on the service's port. `nat-pmp` and `pcp` share one, `description` and `control` too. */
    | { readonly kind: 'refuse' }
    /** Answers with these bytes instead (the body, over HTTP). `oversized` is 1,104 bytes over UDP, 10 MB over HTTP. */
    | { readonly kind: 'bytes'; readonly bytes: 'empty' | 'one-byte' | 'oversized' | 'random' | Uint8Array }
    /** Cuts the answer off after so many bytes. */
    | { readonly kind: 'truncate'; readonly length: number }
    /** Replaces the reply: any number of others in its place; undefined leaves it as it is. */
    | {
        readonly kind: 'mangle'
        readonly mangle: (reply: Uint8Array, context: ReplyContext) => readonly Uint8Array[] | undefined
      }
    // ---- the right bytes in the wrong way
    /** Over UDP: answers from another address of the machine, or another port. */
    | { readonly kind: 'wrong-source'; readonly what: 'address' | 'port' }
    /** Answers so much later; over SOAP all actions, or this one. What was asked for has been done by then. */
    | { readonly kind: 'late'; readonly ms: number; readonly action?: string }
    /** Sends each datagram so many times. @default 2 */
    | { readonly kind: 'duplicate'; readonly copies?: number }
    /** Over UDP: sends its answer to the request before once more, when the next request comes and before it answers that. */
    | { readonly kind: 'stale' }
    /** Flips every bit of one field in answers of NAT-PMP and PCP, or writes `value` into it, where it is a number. */
    | {
        readonly kind: 'wrong-field'
        readonly field: 'version' | 'opcode' | 'response-bit' | 'nonce' | 'internal-port' | 'protocol'
        readonly value?: number
      }
    /** Tells this number of seconds since its epoch in NAT-PMP and PCP. */
    | { readonly kind: 'epoch'; readonly seconds: number }
    // ---- answers that say no
    /** Speaks NAT-PMP only: PCP is answered as RFC 6886 §3.5 wants an unknown version answered. */
    | { readonly kind: 'downgrade' }
    /** Answers NAT-PMP and PCP requests with this result code. The lifetime is PCP's, of the error. @default the RFC's */
    | { readonly kind: 'result'; readonly code: number; readonly lifetimeSeconds?: number; readonly opcode?: number }
    /** Answers actions with a SOAP fault; all, or this one. */
    | { readonly kind: 'soap-fault'; readonly code: number; readonly action?: string }
    /** Takes only mappings without an end. @default 725 */
    | { readonly kind: 'only-permanent'; readonly code?: number }
    /** Takes only mappings with an end: the mirror image (402). */
    | { readonly kind: 'no-permanent' }
    /** Takes only an external port equal to the internal one (724 in UPnP; in the others another port is not granted). */
    | { readonly kind: 'same-port' }
    /** Maps an internal port to one external port only: 718 for another one (UPnP). */
    | { readonly kind: 'one-external-port' }
    /** Maps external ports of this range only. UPnP refuses others with the code, NAT-PMP and PCP grant one of the range.
     * @default 606 */
    | { readonly kind: 'allowed-ports'; readonly first: number; readonly last: number; readonly code?: number }
    /** Refuses a suggested external port, or leases above so many seconds, where others grant another one (NAT-PMP, PCP). */
    | { readonly kind: 'refuses'; readonly code: number; readonly port?: number; readonly aboveSeconds?: number }
    /** Rejects a suggested external port of 0 in NAT-PMP (2) and PCP (11), as RouterOS does. */
    | { readonly kind: 'no-any-port' }
    /** Behaves as miniupnpd does when its own external address is reserved: NAT-PMP 3 with 0.0.0.0, PCP 8 with the
     * address inside, UPnP connected with an empty address, and 501 for every mapping. */
    | { readonly kind: 'reserved-external-address' }
    // ---- answers that say yes
    /** Says yes to a mapping that ends and makes none; one without an end it makes (UPnP). */
    | { readonly kind: 'drops-leases' }
    /** Shows no mapping in its list (UPnP). */
    | { readonly kind: 'unlisted' }
    /** Shows every lease in its list with these seconds left (UPnP). */
    | { readonly kind: 'shown-lease'; readonly seconds: number }
    /** Maps each external port to the internal port of the same number, whatever was asked for (UPnP). */
    | { readonly kind: 'ignores-internal-port' }
    /** Says yes to a renewal and lets the lease run on as it was (UPnP). */
    | { readonly kind: 'unextended' }
    /** Grants this instead of what was asked for. */
    | {
        readonly kind: 'grant'
        readonly lifetimeSeconds?: number
        readonly externalPort?: number
        readonly externalAddress?: string
      }
    /** Says yes to mappings and makes none. */
    | { readonly kind: 'lie' }
    /** Makes mappings and loses them so much later; with `leasesOnly` those without an end stay. */
    | { readonly kind: 'forgetful'; readonly afterMs: number; readonly leasesOnly?: boolean }
    // ---- too slow or too simple
    /** Takes so long for each request, and drops what comes in meanwhile (HTTP: answers 503, or drops). */
    | { readonly kind: 'one-at-a-time'; readonly busyMs: number; readonly answer?: 'drop' | 503 }
    /** Drops a request that comes sooner than this after the last one that it answered (HTTP: resets the connection). */
    | { readonly kind: 'rate-limited'; readonly everyMs: number }
    // ---- UPnP discovery
    /** The LOCATION that SSDP answers with. `{port}` and `{address}` stand for the right ones. */
    | { readonly kind: 'location'; readonly location: string }
    /** Hears searches sent one way only. */
    | { readonly kind: 'hears-only'; readonly cast: 'multicast' | 'unicast' }
    /** Answers these search targets only. */
    | { readonly kind: 'search-targets'; readonly only: readonly string[] }
    // ---- HTTP and XML
    | {
        readonly kind: 'http'
        /**
         * - `redirect`: 302 to `to`
         * - `status`: that status with the normal body
         * - `empty`: that status without a body
         * - `endless`: chunk after chunk without an end
         * - `drip`: the right body, one byte each 100 ms
         * - `slow-headers`: one byte of the headers each 100 ms, for ever
         * - `hang`: accepts and says nothing
         * - `reset`: closes in the middle of the body
         * - `lower-case-headers`, `tight-headers` (no blank after the colon), `no-content-length`, `chunked`: unusual, but
         *   allowed
         * - `not-http`: a line of something else
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
        /** @default 500 */
        readonly status?: number
        /** Only answers to this SOAP action. @default everything over HTTP */
        readonly action?: string
      }
    | {
        readonly kind: 'xml'
        /**
         * Hostile: `bomb` (nested entities), `doctype`, `external-entity`, `deep` (100,000 levels), `proto` (tags named
         * `__proto__`, `constructor`, `prototype`). Sloppy, as real routers are, and still to be understood:
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

export type FaultKind = Fault['kind']
export type FaultOf<K extends FaultKind> = Extract<Fault, { readonly kind: K }>

/** The faults that are in force. */
export interface FaultList {
  readonly active: readonly Fault[]
  /** Those that have struck at least once. */
  readonly struck: ReadonlySet<Fault>
  inject(fault: Fault): () => void
  /** The first fault of this kind that strikes now; counts as one strike. */
  strike<K extends FaultKind>(
    kind: K,
    service: Service,
    applies?: (fault: FaultOf<K>) => boolean
  ): FaultOf<K> | undefined
  /** Whether there is such a fault; counts nothing. */
  has(kind: FaultKind, service: Service): boolean
  clear(): void
}

/** An empty list. `changed` is called after each change. */
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
      // Most gateways of a simulation have none.
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
