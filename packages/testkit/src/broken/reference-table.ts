import { type CallOptions, type Clock, type Network, natError, type Protocol } from '@postern/interface'

/** One rule of a {@link ReferenceTable}. */
export interface ReferenceRule {
  readonly protocol: Protocol
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  /** Hexadecimal. Whoever changes or removes the rule must know it. */
  readonly key: string
  /** Monotonic time. */
  readonly expiresAt: number
}

export interface ReferenceWish {
  readonly protocol: Protocol
  readonly internalAddress: string
  readonly internalPort: number
  readonly suggestedExternalPort: number
  readonly lifetimeMs: number
  readonly key: Uint8Array
}

export interface ReferenceGrant {
  readonly externalAddress: string
  readonly externalPort: number
  readonly lifetimeMs: number
}

/** `silent` hears nothing; `mute` does what it is asked and does not answer; `refusing` answers no. */
export type ReferenceMood = 'normal' | 'silent' | 'mute' | 'refusing'

/** A router without a protocol: just what the contract between strategies and core talks about. Keys, ports and
 * lifetimes are as strict as in PCP. */
export interface ReferenceTable {
  /** The network it is the only gateway of. */
  readonly network: Network
  readonly rules: readonly ReferenceRule[]
  /** Everything that strategies sent, in order: `probe`, `map tcp 8080`, `unmap tcp 8080`. */
  readonly log: readonly string[]
  readonly openSockets: number
  readonly externalAddress: string
  behave(mood: ReferenceMood): void
  /** Answers come so much later than the round trip takes. */
  delay(ms: number): void
  setExternalAddress(address: string): void
  /** Loses every rule. */
  reboot(): void
  /** Gives a port to another host. */
  occupy(protocol: Protocol, externalPort: number): void
  /** A socket is open until what this returns is called. */
  openSocket(): () => void
  probe(call: CallOptions): Promise<void>
  map(wish: ReferenceWish, call: CallOptions): Promise<ReferenceGrant>
  unmap(wish: ReferenceWish, call: CallOptions): Promise<void>
}

export interface ReferenceTableOptions {
  readonly clock: Clock
  /** From sending to the answer; half of it until the router has the request. @default 20 */
  readonly roundTripMs?: number
  /** Longer wishes are granted this much. @default 3600000 */
  readonly maxLifetimeMs?: number
}

const never = new AbortController().signal

/** A router at 192.168.1.1 with 1.2.3.4 outside, and nothing mapped. */
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

  /** Sends a request. It arrives and takes effect whatever becomes of whoever sent it. */
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

  /** The rule for this internal end, if whoever asks has its key. */
  function findOwn(wish: ReferenceWish): ReferenceRule | undefined {
    const rule = alive().find((each) => isSame(each, wish))
    if (rule !== undefined && rule.key !== hex(wish.key))
      throw natError('NOT_AUTHORIZED', 'the mapping was made with another key')
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
