import { serviceCapabilities } from '@libp2p/interface'
import type { Libp2pComponents } from './host.js'

/** What `natTraversal()` is called among the components of a node. */
export const ownTag = '@postern/libp2p'

/** Which kind of strategy does the same as a service of another package. */
const rivals: readonly (readonly [tag: string, kind: string, why: string])[] = [
  ['@libp2p/autonat-v2', 'witness', 'autonat() verifies addresses, and has to be the one to handle its protocol'],
  ['@libp2p/autonat', 'witness', 'autonat() verifies addresses, and the other service confirms them by other rules'],
  ['@libp2p/dcutr', 'puncher', 'holePunch() makes direct connections, and has to be the one to handle its protocol'],
  ['@libp2p/upnp-nat', 'mapper', 'both would ask the router for the same ports, and each deletes them at its end']
]

/**
 * Throws a TypeError that names the service to leave out, where another one of the node does the work of these kinds of
 * strategies, or to add, where `identify()` is missing.
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

/** libp2p keeps the services of a node, under their names, in a property that its types do not show. */
function servicesOf(components: Libp2pComponents): readonly (readonly [name: string, service: object])[] {
  const all: unknown = Reflect.get(components, 'components')
  if (typeof all !== 'object' || all === null) return []
  return Object.entries(all).filter((each): each is [string, object] => typeof each[1] === 'object' && each[1] !== null)
}

const tagOf = (service: object): unknown => Reflect.get(service, Symbol.toStringTag)

function isIdentify(service: object): boolean {
  // Its capabilities are asked for while these checks run.
  if (tagOf(service) === ownTag) return false
  const offered: unknown = Reflect.get(service, serviceCapabilities)
  return Array.isArray(offered) && offered.includes('@libp2p/identify')
}
