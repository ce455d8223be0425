import {
  type CallOptions,
  type Endpoint,
  type Finding,
  formatMultiaddr,
  type Gateway,
  type Lease,
  type Mapper,
  type MapRequest,
  type MultiaddrText,
  natError,
  type Strategy,
  type Witness
} from '@postern/interface'
import type { VirtualClock } from '@postern/testkit'
import { party } from './support.js'

/** How a mapper behaves when it is asked. */
export type Mood =
  | { readonly kind: 'good'; readonly lifetimeMs: number }
  /** Grants this external port to every request. */
  | { readonly kind: 'same-port'; readonly port: number }
  | { readonly kind: 'refuse'; readonly retryAfterMs: number | undefined }
  /** Rejects with an error that is not a NatError, or throws before it returns a promise. */
  | { readonly kind: 'fault'; readonly sync: boolean }
  /** Does not answer until it is aborted, and takes `undoMs` to finish then. */
  | { readonly kind: 'hang'; readonly undoMs: number }
  /** Ignores its signal, and grants after `afterMs`. */
  | { readonly kind: 'deaf'; readonly afterMs: number }
  | { readonly kind: 'useless'; readonly what: 'address' | 'time' | 'number' }

/** One chain of leases, from the first grant on. */
export interface Chain {
  readonly strategy: string
  readonly endpoint: Endpoint
  readonly id: number
  address: MultiaddrText
  grantedMs: number
  grantedWallMs: number
  lifetimeMs: number
  releases: number
  /** Its strategy was aborted before it was granted, so that the ladder may never have received it. */
  readonly isLate: boolean
  /** Whether the router behind the next hop has granted it. */
  readonly isFar: boolean
}

interface Verb {
  readonly strategy: string
  readonly gateway: string
  readonly startedMs: number
  abortedMs: number | undefined
}

/** Mappers that behave as they are set, and a record of everything that they were asked. */
export interface Chaos {
  readonly trace: string[]
  readonly chains: readonly Chain[]
  /** Breaches of the rules, in words. */
  readonly breaches: readonly string[]
  /** How many strategies that ignore their signal are still asleep. */
  readonly deafSleeps: () => number
  readonly answers: {
    readonly address: string
    readonly network: string
    readonly outcome: string
    readonly atMs: number
  }[]
  externalAddress: string
  mood(strategy: string, mood: Mood): void
  say(strategy: string, what: 'found' | 'absent' | 'gone' | 'restarted' | 'address-changed' | 'announced'): void
  witnesses(outcome: 'reachable' | 'unreachable' | 'inconclusive' | 'silent', count: number): void
  /** @param asksBeyond - whether it also asks routers behind the next hop; its moods there are those of `far <name>` */
  mapper(name: string, gateway: Gateway | null, asksBeyond?: boolean): Strategy
  witness(count: number): Strategy
}

/** The external address of every router behind the next hop. */
export const farAddress = '11.0.0.7'
const graceMs = 1000
/** How long core waits for one strategy before it asks the next one as well. */
const patienceMs = 2000

export function createChaos(clock: VirtualClock): Chaos {
  const trace: string[] = []
  const breaches: string[] = []
  const chains: Chain[] = []
  const moods = new Map<string, Mood>()
  const mappers = new Map<
    string,
    { readonly found: (finding: Finding) => void; readonly make: () => Mapper; last: Mapper }
  >()
  const verbs = new Set<Verb>()
  const outcomes: ('reachable' | 'unreachable' | 'inconclusive' | 'silent')[] = []
  const answers: Chaos['answers'] = []
  const never = new AbortController()
  let deafSleeps = 0

  const note = (text: string): void => void trace.push(`${clock.monotonicMs()} ${text}`)

  async function deafSleep(ms: number): Promise<void> {
    deafSleeps++
    await clock.sleep(ms, never)
    deafSleeps--
  }

  /** Records that a request runs, and checks that no other request runs at its gateway that core still waits for: none
   * of the same strategy, and none of another strategy that is not overdue. */
  async function busy<T>(
    strategy: string,
    gateway: Gateway | null,
    { signal }: CallOptions,
    work: () => Promise<T>
  ): Promise<T> {
    if (gateway === null) return work()
    const now = clock.monotonicMs()
    // The same address on another link is another router.
    const there = `${gateway.address}%${gateway.interface}`
    for (const { gateway: where, strategy: other, startedMs, abortedMs } of verbs) {
      const isGivenUp = abortedMs !== undefined && now - abortedMs >= graceMs
      const isLate = other !== strategy && now - startedMs >= patienceMs
      if (where === there && !isGivenUp && !isLate) breaches.push(`two verbs at once at ${where}`)
    }
    const verb: Verb = { strategy, gateway: there, startedMs: now, abortedMs: undefined }
    const aborted = (): void => {
      verb.abortedMs = clock.monotonicMs()
    }
    signal.addEventListener('abort', aborted)
    verbs.add(verb)
    try {
      return await work()
    } finally {
      verbs.delete(verb)
      signal.removeEventListener('abort', aborted)
    }
  }

  /** Throws, or delays, as the mood says. */
  async function suffer(mood: Mood, call: CallOptions): Promise<void> {
    await clock.sleep(3, call)
    if (mood.kind === 'refuse') {
      const { retryAfterMs } = mood
      throw natError('OUT_OF_RESOURCES', 'no', retryAfterMs === undefined ? {} : { retryAfterMs })
    }
    if (mood.kind === 'fault') throw new Error('a bug')
    if (mood.kind === 'hang') {
      await clock.sleep(1e12, call).catch(() => undefined)
      await deafSleep(mood.undoMs)
      throw call.signal.reason
    }
    if (mood.kind === 'deaf') await deafSleep(mood.afterMs)
  }

  /** The external address of a router; another one for all that are behind the next hop. */
  const externalOf = (gateway: Gateway | null): string =>
    gateway?.through === undefined ? result.externalAddress : farAddress

  const live = (chain: Chain): boolean =>
    chain.releases === 0 && clock.monotonicMs() - chain.grantedMs < chain.lifetimeMs

  /** Uses one table for all strategies, as most routers do: a port of another endpoint is not granted. */
  function freePort(endpoint: Endpoint, suggested: number, isFar: boolean): number {
    const isTaken = (port: number): boolean =>
      chains.some(
        (chain) =>
          chain.isFar === isFar &&
          live(chain) &&
          chain.address.endsWith(`/${endpoint.protocol}/${port}`) &&
          (chain.endpoint.port !== endpoint.port || chain.endpoint.address !== endpoint.address)
      )
    let port = suggested
    while (isTaken(port)) port++
    return port
  }

  function lease(chain: Chain, mood: Mood, gateway: Gateway | null): Lease {
    let isDead = false
    let isReleased = false
    const useless = mood.kind === 'useless' ? mood.what : undefined
    const own: Lease = {
      addresses: useless === 'address' ? [] : [chain.address],
      lifetimeMs: useless === 'time' ? 0 : useless === 'number' ? Number.NaN : chain.lifetimeMs,
      renew(call) {
        note(`renew ${chain.strategy} ${chain.id}`)
        if (isDead) breaches.push('a lease was renewed that has a successor')
        if (isReleased) breaches.push('a lease was renewed after its release')
        const now = moods.get(chain.strategy) ?? mood
        return busy(chain.strategy, gateway, call, async () => {
          await suffer(now, call)
          // Such a grant is invalid, so the lease before it stays valid.
          if (now.kind === 'useless') return lease({ ...chain }, now, gateway)
          isDead = true
          const port = Number(chain.address.split('/').at(-1))
          Object.assign(chain, {
            address: formatMultiaddr(externalOf(gateway), chain.endpoint.protocol, port),
            grantedMs: clock.monotonicMs(),
            grantedWallMs: clock.wallMs(),
            releases: 0,
            ...(now.kind === 'good' ? { lifetimeMs: now.lifetimeMs } : {})
          })
          return lease(chain, now, gateway)
        })
      },
      release(call) {
        note(`release ${chain.strategy} ${chain.id}`)
        if (isDead) breaches.push('a lease was released that has a successor')
        if (isReleased) breaches.push('a lease was released twice')
        isReleased = true
        chain.releases++
        const now = moods.get(chain.strategy) ?? mood
        return busy(chain.strategy, gateway, call, () => suffer(now, call))
      }
    }
    return own
  }

  function map(name: string, gateway: Gateway | null, request: MapRequest, call: CallOptions): Promise<Lease> {
    const mood = moods.get(name) ?? { kind: 'good', lifetimeMs: request.lifetimeMs }
    const { endpoint, suggestedExternalPort } = request
    note(`map ${name} ${endpoint.address} ${endpoint.port} as ${suggestedExternalPort}`)
    if (mood.kind === 'fault' && mood.sync) throw new Error('a bug')
    return busy(name, gateway, call, async () => {
      await suffer(mood, call)
      const isFar = gateway?.through !== undefined
      const port = mood.kind === 'same-port' ? mood.port : freePort(endpoint, suggestedExternalPort, isFar)
      const chain: Chain = {
        strategy: name,
        endpoint,
        id: chains.length,
        address: formatMultiaddr(externalOf(gateway), endpoint.protocol, port),
        grantedMs: clock.monotonicMs(),
        grantedWallMs: clock.wallMs(),
        lifetimeMs: mood.kind === 'good' ? mood.lifetimeMs : request.lifetimeMs,
        releases: 0,
        isLate: call.signal.aborted,
        isFar
      }
      chains.push(chain)
      return lease(chain, mood, gateway)
    })
  }

  const result: Chaos = {
    trace,
    chains,
    breaches,
    answers,
    deafSleeps: () => deafSleeps,
    externalAddress: '11.0.0.2',
    mood: (strategy, mood) => void moods.set(strategy, mood),
    say(strategy, what) {
      const known = mappers.get(strategy)
      if (known === undefined) return
      if (what === 'found') return known.found((known.last = known.make()))
      const { last, found } = known
      if (what === 'absent') {
        return found({ kind: 'notice', what, gateway: last.gateway, reason: natError('NO_REPLY', 'silence') })
      }
      found({ kind: 'notice', what, about: last })
    },
    witnesses(outcome, count) {
      outcomes.length = 0
      for (let index = 0; index < count; index++) outcomes.push(outcome)
    },
    mapper:
      (own, nextHop, asksBeyond = false) =>
      () => ({
        name: own,
        kind: 'mapper',
        asksBeyond,
        async discover({ gateways: [first] }, found, call) {
          const isFar = first?.through !== undefined
          const [name, gateway] = isFar ? [`far ${own}`, first] : [own, nextHop]
          note(`discover ${name}`)
          const make = (): Mapper => ({
            kind: 'mapper',
            gateway,
            family: 4,
            protocols: ['tcp', 'udp'],
            map: (request, each) => map(name, gateway, request, each)
          })
          const known = { found, make, last: make() }
          mappers.set(name, known)
          await clock.sleep(5, call)
          found(known.last)
          await clock.sleep(1e12, call).catch(() => undefined)
        }
      }),
    witness: (count) => () => ({
      name: 'autonat',
      kind: 'witness',
      async discover(_network, found, call) {
        for (let index = 0; index < count; index++) {
          const network = `${20 + index}.0.0.0/16`
          const each: Witness = {
            kind: 'witness',
            party: party(`w${index}`, network),
            async verify(address, asked) {
              note(`ask w${index} ${address}`)
              await clock.sleep(7, asked)
              const outcome = outcomes[index] ?? 'inconclusive'
              if (outcome === 'silent') await clock.sleep(1e12, asked)
              answers.push({ address, network, outcome, atMs: clock.monotonicMs() })
              return { outcome: outcome === 'silent' ? 'inconclusive' : outcome }
            }
          }
          found(each)
        }
        await clock.sleep(1e12, call).catch(() => undefined)
      }
    })
  }
  return result
}
