import {
  type Discovery,
  didYouMean,
  errorText,
  type Gateway,
  type Host,
  type Network,
  type Strategy
} from '@postern/interface'
import type { Store } from './memory/store.js'
import { defaultPolicy } from './model/policy.js'

/** Throws a TypeError if the value is not an array of strategies. */
export function checkStrategies(strategies: unknown): void {
  if (Array.isArray(strategies) && strategies.length > 0 && strategies.every((each) => typeof each === 'string')) {
    throw new TypeError(
      `strategies is an array of strings: pass functions, such as [pcp(), upnp()]; expose() takes one string, such as '${strategies.join()}'`
    )
  }
  if (typeof strategies === 'function')
    throw new TypeError('strategies is one function: pass an array, such as [upnp()]')
  if (isPromise(strategies)) throw new TypeError('strategies is a promise: await it, and pass the array')
  if (!Array.isArray(strategies)) {
    throw new TypeError('strategies is not an array of strategies, such as [natPmp(), upnp()]')
  }
  for (const [rank, strategy] of strategies.entries()) {
    if (typeof strategy !== 'function') throw new TypeError(`strategies[${rank}] is ${whatInstead(strategy)}`)
  }
}

/** Returns what was passed in the place of a strategy, and what to pass. */
function whatInstead(value: unknown): string {
  if (isPromise(value)) return 'a promise: await it'
  if (Array.isArray(value)) return 'an array: spread it, as in [...defaultStrategies(), manual()]'
  if (typeof value === 'object' && value !== null) return 'an object: pass what upnp() returns, which is a function'
  return `${shown(value)}, and not a strategy such as upnp()`
}

const isPromise = (value: unknown): boolean => typeof Object(value).then === 'function'

/**
 * Calls a strategy for a host. Throws a TypeError for a class and for a function that returns no discovery, and what the strategy
 * throws as the cause of one.
 */
export function discoveryOf<H extends Host>(strategy: Strategy<H>, rank: number, host: H): Discovery {
  if (/^class\b/.test(Function.prototype.toString.call(strategy))) {
    throw new TypeError(`strategies[${rank}] is a class: pass a function that takes the host, such as upnp() returns`)
  }
  let discovery: Discovery
  try {
    discovery = strategy(host)
  } catch (cause) {
    if (cause instanceof TypeError) throw cause
    throw new TypeError(`strategies[${rank}] cannot be used: ${errorText(cause)}`, { cause })
  }
  checkDiscovery(discovery, rank)
  return discovery
}

/** Throws a TypeError if a strategy returned no discovery, as when the factory itself was passed. */
function checkDiscovery(discovery: Discovery, rank: number): void {
  if (isPromise(discovery)) {
    throw new TypeError(`strategies[${rank}] returns a promise: make the strategy a function that is not async`)
  }
  const { name, discover }: Partial<Discovery> = Object(discovery)
  if (typeof name === 'string' && typeof discover === 'function') return
  throw new TypeError(`strategies[${rank}] returns no discovery with a name: pass pcp(), for example, not pcp`)
}

/** Throws a TypeError for a store that cannot load and save. */
export function checkStore(store: Store): void {
  const { load, save }: Partial<Store> = Object(store)
  if (typeof load === 'function' && typeof save === 'function') return
  throw new TypeError('store has no load() and save(): pass one that has both, such as memoryStore() or fileStore()')
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

/** Returns the value. Throws a TypeError if it is not an object that can hold options. */
export function checkedObject<T extends object>(path: string, value: T): T {
  if (isObject(value)) return value
  throw new TypeError(`${path} is not an object: ${String(value)}`)
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Throws a TypeError for an unknown name, a missing part, or an invalid value in a policy. */
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

/** With 0 here, an address would count as verified although no witness has dialled it. */
const wholeNumbers: ReadonlySet<string> = new Set(['policy.quorum', 'policy.witnessesPerRound'])

/** Quotes strings, so that `"5"` and `5` look different in a message. */
export const shown = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value) : String(value))

/** Throws a TypeError for a lifetime below one second: requests carry whole seconds, and 0 means deletion (RFC 6887
 * §11.1, RFC 6886 §3.3). A strategy shortens a lifetime that is too long for its protocol. */
export function checkLifetime(name: string, lifetimeMs: number): void {
  if (lifetimeMs >= 1000) return
  throw new TypeError(`${name} is not a lifetime of 1000 ms or more: ${lifetimeMs}`)
}

/** Throws a TypeError if the value is not a network. */
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
    'not a network: it needs addresses, and gateways that each have address, interface and localAddress'
  )
}
