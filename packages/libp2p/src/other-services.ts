import { serviceCapabilities } from '@libp2p/interface'
import type { Libp2pComponents } from './host.js'

/** The tag by which `natTraversal()` is recognized among the components of a node. */
export const ownTag = '@postern/libp2p'

/** Services of other packages, each with the kind of strategy that does the same. */
const rivals: readonly (readonly [tag: string, kind: string, why: string])[] = [
  ['@libp2p/autonat-v2', 'witness', 'autonat() verifies addresses, and must handle the protocol alone'],
  [
    '@libp2p/autonat',
    'witness',
    'autonat() verifies addresses, and the other service confirms them by different rules'
  ],
  ['@libp2p/dcutr', 'puncher', 'holePunch() establishes direct connections, and must handle the protocol alone'],
  ['@libp2p/upnp-nat', 'mapper', 'both would map the same ports at the router, and each deletes them when it stops']
]

/**
 * Throws a TypeError if another service of the node does the work of a strategy of these kinds, or if `identify()` is
 * missing. The message names the service to remove or to add.
 */
export function checkServices(self: object, components: Libp2pComponents, kinds: ReadonlySet<string>): void {
  const services = servicesOf(components)
  for (const [name, service] of services) {
    const tag = tagOf(service)
    if (tag === ownTag && service !== self) {
      throw new TypeError(`services.${name} is another natTraversal(): a node takes one. Leave one of them out.`)
    }
    const rival = rivals.find(([rivalTag, kind]) => rivalTag === tag && kinds.has(kind))
    if (rival === undefined) continue
    throw new TypeError(`Leave services.${name} (${rival[0]}) out beside natTraversal(): ${rival[2]}.`)
  }
  const needsIdentify = kinds.has('relay') || kinds.has('witness')
  if (needsIdentify && services.length > 0 && !services.some(([, service]) => isIdentify(service))) {
    throw new TypeError(withoutIdentify)
  }
}

export const withoutIdentify =
  'natTraversal() with relay() or autonat() needs identify() of @libp2p/identify among the services'

/** Returns the services of a node by name. libp2p keeps them in a property that its types do not declare. */
function servicesOf(components: Libp2pComponents): readonly (readonly [name: string, service: object])[] {
  const all: unknown = Reflect.get(components, 'components')
  if (typeof all !== 'object' || all === null) return []
  return Object.entries(all).filter((each): each is [string, object] => typeof each[1] === 'object' && each[1] !== null)
}

const tagOf = (service: object): unknown => Reflect.get(service, Symbol.toStringTag)

function isIdentify(service: object): boolean {
  // Reading our own capabilities would run these checks again.
  if (tagOf(service) === ownTag) return false
  const offered: unknown = Reflect.get(service, serviceCapabilities)
  return Array.isArray(offered) && offered.includes('@libp2p/identify')
}
