import { type CallOptions, type Clock, type Network, natError, type Protocol } from '@postern/interface'

/** One rule of a {@link ReferenceTable}. */
export interface ReferenceRule {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The external port. */
  readonly externalPort: number
  /** The address of the host. */
  readonly internalAddress: string
  /** The port of the host. */
  readonly internalPort: number
  /** The key in hexadecimal. A request that changes or removes the rule must contain it. */
  readonly key: string
  /** The end of the rule, in monotonic milliseconds. */
  readonly expiresAt: number
}

/** A request for a rule. */
export interface ReferenceWish {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The address of the host. */
  readonly internalAddress: string
  /** The port of the host. */
  readonly internalPort: number
  /** The suggested external port. */
  readonly suggestedExternalPort: number
  /** The requested lifetime, in milliseconds. */
  readonly lifetimeMs: number
  /** The key that protects the rule. */
  readonly key: Uint8Array
}

/** The answer to a {@link ReferenceWish}. */
export interface ReferenceGrant {
  /** The external address. */
  readonly externalAddress: string
  /** The granted external port. */
  readonly externalPort: number
  /** The granted lifetime, in milliseconds. */
  readonly lifetimeMs: number
}

/** `silent` ignores requests; `mute` carries them out but does not answer; `refusing` rejects them. */
export type ReferenceMood = 'normal' | 'silent' | 'mute' | 'refusing'

/** A router without a protocol. It has only what the contract between strategies and core needs; keys, ports and
 * lifetimes are as strict as in PCP. */
export interface ReferenceTable {
  /** The network with this router as its only gateway. */
  readonly network: Network
  /** The current rules. */
  readonly rules: readonly ReferenceRule[]
  /** The requests of strategies, in order: `probe`, `map tcp 8080`, `unmap tcp 8080`. */
  readonly log: readonly string[]
  /** The number of open sockets. */
  readonly openSockets: number
  /** The external IPv4 address. */
  readonly externalAddress: string
  /** Sets how the router answers from now on. */
  behave(mood: ReferenceMood): void
  /** Delays answers by this time in addition to the round trip. */
  delay(ms: number): void
  /** Changes the external address. */
  setExternalAddress(address: string): void
  /** Loses every rule. */
  reboot(): void
  /** Maps a port to another host. */
  occupy(protocol: Protocol, externalPort: number): void
  /** Counts a socket as open until the returned function is called. */
  openSocket(): () => void
  /** Resolves when the router answers. Rejects with `OUT_OF_RESOURCES` when refusing, or with the signal's reason. */
  probe(call: CallOptions): Promise<void>
  /** Creates or extends a rule. Rejects with `NOT_AUTHORIZED` for another key, and otherwise as `probe` does. */
  map(wish: ReferenceWish, call: CallOptions): Promise<ReferenceGrant>
  /** Removes a rule. Rejects as `map` does. */
  unmap(wish: ReferenceWish, call: CallOptions): Promise<void>
}

/** Options of `referenceTable()`. */
export interface ReferenceTableOptions {
  /** The clock for delays and lifetimes. */
  readonly clock: Clock
  /** The time from a request to its answer; the request arrives after half of it. @default 20 */
  readonly roundTripMs?: number
  /** The longest lifetime that is granted. @default 3600000 */
  readonly maxLifetimeMs?: number
}

const never = new AbortController().signal

/** Creates a router at 192.168.1.1 with the external address 1.2.3.4 and no mappings. */
export function referenceTable(options: ReferenceTableOptions): ReferenceTable {
  const { clock, roundTripMs = 20, maxLifetimeMs = 3_600_000 } = options
  const log: string[] = []
  let rules: readonly ReferenceRule[] = []
  let mood: ReferenceMood = 'normal'
  let lateMs = 0
  let externalAddress = '1.2.3.4'
  let openSockets = 0

  const alive = (): readonly ReferenceRule[] => {
    rules = rules.filter(({ expiresAt }) => expiresAt > clock.monotonicMs())
    return rules
  }

  /** Sends a request. It arrives and takes effect even if the caller aborts. */
  async function request<T>(text: string, { signal }: CallOptions, perform: () => T): Promise<T> {
    signal.throwIfAborted()
    log.push(text)
    const answer = Promise.withResolvers<T>()
    answer.promise.catch(() => undefined)
    const arrive = async (): Promise<void> => {
      await clock.sleep(roundTripMs / 2, { signal: never })
      if (mood === 'silent') return
      try {
        if (mood === 'refusing') throw natError('OUT_OF_RESOURCES', 'the router has no room')
        const value = perform()
        await clock.sleep(roundTripMs / 2 + lateMs, { signal: never })
        if (mood !== 'mute') answer.resolve(value)
      } catch (error) {
        answer.reject(error)
      }
    }
    const aborted = (): void => answer.reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    void arrive()
    try {
      return await answer.promise
    } finally {
      signal.removeEventListener('abort', aborted)
    }
  }

  const isSame = (rule: ReferenceRule, { protocol, internalAddress, internalPort }: ReferenceWish): boolean =>
    rule.protocol === protocol && rule.internalAddress === internalAddress && rule.internalPort === internalPort

  /** Returns the rule for this internal endpoint. Throws NOT_AUTHORIZED if the request has another key. */
  function findOwn(wish: ReferenceWish): ReferenceRule | undefined {
    const rule = alive().find((each) => isSame(each, wish))
    if (rule !== undefined && rule.key !== hex(wish.key))
      throw natError('NOT_AUTHORIZED', 'the mapping was created with another key')
    return rule
  }

  function grant(wish: ReferenceWish): ReferenceGrant {
    const { protocol, internalAddress, internalPort, suggestedExternalPort, key } = wish
    const existing = findOwn(wish)
    const isTaken = (port: number): boolean =>
      rules.some((each) => each.protocol === protocol && each.externalPort === port)
    let externalPort = suggestedExternalPort
    while (isTaken(externalPort)) externalPort += 1
    if (existing !== undefined) externalPort = existing.externalPort
    const lifetimeMs = Math.min(wish.lifetimeMs, maxLifetimeMs)
    const expiresAt = clock.monotonicMs() + lifetimeMs
    rules = [
      ...rules.filter((each) => each !== existing),
      { protocol, externalPort, internalAddress, internalPort, key: hex(key), expiresAt }
    ]
    return { externalAddress, externalPort, lifetimeMs }
  }

  return {
    network: {
      gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.10' }],
      addresses: ['192.168.1.10']
    },
    get rules() {
      return alive()
    },
    log,
    get openSockets() {
      return openSockets
    },
    get externalAddress() {
      return externalAddress
    },
    behave(how) {
      mood = how
    },
    delay(ms) {
      lateMs = ms
    },
    setExternalAddress(address) {
      externalAddress = address
    },
    reboot() {
      rules = []
    },
    occupy(protocol, externalPort) {
      const other = { internalAddress: '192.168.1.99', internalPort: externalPort, key: 'other' }
      rules = [...alive(), { protocol, externalPort, ...other, expiresAt: Number.POSITIVE_INFINITY }]
    },
    openSocket() {
      let open = true
      openSockets += 1
      return () => {
        if (open) openSockets -= 1
        open = false
      }
    },
    probe: (call) => request('probe', call, () => undefined),
    map: (wish, call) => request(`map ${wish.protocol} ${wish.internalPort}`, call, () => grant(wish)),
    unmap: (wish, call) =>
      request(`unmap ${wish.protocol} ${wish.internalPort}`, call, () => {
        const own = findOwn(wish)
        rules = rules.filter((each) => each !== own)
      })
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
