import { didYouMean, type Discovery, type Gateway, type Host, type Network } from '@postern/interface'
import type { Store } from './memory.js'
import { defaultPolicy } from './policy.js'

/** Throws a TypeError for what are no strategies. */
export function checkStrategies(strategies: unknown): void {
  if (Array.isArray(strategies) && strategies.length > 0 && strategies.every((each) => typeof each === 'string')) {
    throw new TypeError(
      `strategies is an array of text: pass functions, such as [pcp(), upnp()]; expose() takes one text, such as '${strategies.join()}'`
    )
  }
  if (!Array.isArray(strategies) || strategies.some((strategy) => typeof strategy !== 'function')) {
    throw new TypeError('strategies is not an array of strategies, such as [natPmp(), upnp()]')
  }
}

/** Throws a TypeError where a strategy gave something else: it may be the function that makes one. */
export function checkDiscovery(discovery: Discovery, rank: number): void {
  const { name, discover }: Partial<Discovery> = Object(discovery)
  if (typeof name === 'string' && typeof discover === 'function') return
  throw new TypeError(`strategies[${rank}] gives no discovery with a name: pass pcp(), for example, and not pcp`)
}

/** Throws a TypeError for a store that cannot load and save. */
export function checkStore(store: Store): void {
  const { load, save }: Partial<Store> = Object(store)
  if (typeof load === 'function' && typeof save === 'function') return
  throw new TypeError('store has no load() and save(): pass one that has, such as memoryStore() or fileStore()')
}

/** Throws a TypeError for a host that lacks a clock, randomness or a log. */
export function checkHost(host: Host): void {
  const { clock, random, log }: Partial<Host> = Object(host)
  const { monotonicMs, wallMs, sleep }: Partial<Host['clock']> = Object(clock)
  const { debug, info }: Partial<Host['log']> = Object(log)
  const parts = {
    'clock.monotonicMs': monotonicMs,
    'clock.wallMs': wallMs,
    'clock.sleep': sleep,
    random,
    'log.debug': debug,
    'log.info': info
  }
  for (const [name, part] of Object.entries(parts)) {
    if (typeof part !== 'function') {
      throw new TypeError(`host.${name} is not a function: pass { ...systemHost, … } to replace parts of the default`)
    }
  }
}

/** The value itself. Throws a TypeError where it is no object that could hold options. */
export function checkedObject<T extends object>(path: string, value: T): T {
  if (isObject(value)) return value
  throw new TypeError(`${path} is not an object: ${String(value)}`)
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Throws a TypeError for a policy with an unknown name, a missing part, or a value that cannot be right. */
export function checkPolicy(policy: object, path = 'policy', model: object = defaultPolicy): void {
  const wanted = new Map<string, unknown>(Object.entries(model))
  const given = new Map<string, unknown>(Object.entries(policy))
  for (const name of given.keys()) {
    if (!wanted.has(name)) {
      throw new TypeError(`${path} has no option "${name}".${didYouMean(name, [...wanted.keys()])}`)
    }
  }
  for (const [name, like] of wanted) {
    const value = given.get(name)
    const part = `${path}.${name}`
    if (isObject(like)) {
      if (!isObject(value)) throw new TypeError(`${part} is not an object: ${String(value)}`)
      checkPolicy(value, part, like)
    } else if (typeof like === 'function') {
      if (typeof value !== 'function') throw new TypeError(`${part} is not a function: ${String(value)}`)
    } else if (!(typeof value === 'number' && value >= 0)) {
      throw new TypeError(`${part} is not a number of 0 or more: ${shown(value)}`)
    } else if (wholeNumbers.has(part) && !(Number.isInteger(value) && value >= 1)) {
      throw new TypeError(`${part} is not a whole number of 1 or more: ${value}`)
    } else if (part === 'policy.lifetimeMs') checkLifetime(part, value)
  }
}

/** An address that no witness has dialled is not verified. */
const wholeNumbers: ReadonlySet<string> = new Set(['policy.quorum', 'policy.witnessesPerRound'])

/** Text that looks like a number is told apart from a number. */
const shown = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value) : String(value))

/** Throws a TypeError for a lifetime that no router can be asked for: it is told in seconds, and 0 means to delete
 * (RFC 6887 §11.1, RFC 6886 §3.3). A strategy shortens one that is too long for its protocol. */
export function checkLifetime(name: string, lifetimeMs: number): void {
  if (lifetimeMs >= 1000) return
  throw new TypeError(`${name} is not a lifetime of 1000 ms or more: ${lifetimeMs}`)
}

/** Throws a TypeError for what is no network. */
export function checkNetwork(network: Network): void {
  const { gateways, addresses }: Partial<Network> = Object(network)
  const areText = (values: unknown): boolean =>
    Array.isArray(values) && values.every((value: unknown) => typeof value === 'string')
  const isGateway = (gateway: unknown): boolean => {
    const { address, interface: name, localAddress }: Partial<Gateway> = Object(gateway)
    return areText([address, name, localAddress])
  }
  if (areText(addresses) && Array.isArray(gateways) && gateways.every(isGateway)) return
  throw new TypeError(
    'what is given is no network: it has gateways, each with address, interface and localAddress, and addresses'
  )
}
