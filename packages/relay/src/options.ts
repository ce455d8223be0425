import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { checkOptions, isDialable, type MultiaddrText } from '@postern/interface'
import type { Named } from './client/named-relays.js'

/** Options of `relay()`. */
export interface RelayOptions {
  /** Relays to use, as multiaddr text that ends in `/p2p/<peer id>`. The strategy dials them and keeps them connected.
   * Other relays are used only while too few of these are usable.
   * @default none: connected peers that serve as relays */
  readonly relays?: readonly MultiaddrText[]
  /** How many reservations to hold, on distinct networks.
   * @default 2 */
  readonly count?: number
  /** Whether to look for more relays while fewer than `count` are usable: through peer routing, and by dialling relays
   * that have dialled this node.
   * @default true */
  readonly discover?: boolean
}

export interface Settings {
  readonly named: readonly Named[]
  readonly count: number
  readonly discover: boolean
}

/** Reads the options once. Throws a TypeError for an invalid option. */
export function readOptions(options: RelayOptions): Settings {
  checkOptions('relay()', options, { relays: 'any', count: 'any', discover: 'any' })
  const { relays = [], count = 2, discover = true } = options
  if (!Array.isArray(relays)) throw new TypeError('relays is not an array of multiaddr text')
  if (!Number.isInteger(count) || count < 1) throw new TypeError(`count is not 1 or more: ${String(count)}`)
  if (typeof discover !== 'boolean') throw new TypeError(`discover is not true or false: ${String(discover)}`)
  const named = new Map<string, Multiaddr[]>()
  for (const { id, address } of relays.map(parseRelay)) named.set(id, [...(named.get(id) ?? []), address])
  return { named: [...named].map(([id, addresses]) => ({ id, addresses })), count, discover }
}

/** The time to parse a multiaddr grows faster than its length. */
const maxAddressLength = 1024

function parseRelay(text: MultiaddrText): { readonly id: string; readonly address: Multiaddr } {
  if (typeof text === 'string' && text.length > maxAddressLength) {
    throw new TypeError(`a relay's multiaddr has more than ${maxAddressLength} characters: ${text.slice(0, 80)}…`)
  }
  let address: Multiaddr
  try {
    // The detour through bytes normalizes the peer id, which has two text forms.
    address = multiaddr(multiaddr(text).bytes)
  } catch (cause) {
    throw new TypeError(`not a multiaddr: ${text}`, { cause })
  }
  const parts = address.getComponents()
  const last = parts.at(-1)
  if (
    parts.length < 2 ||
    last?.name !== 'p2p' ||
    last.value === undefined ||
    parts.some(isCircuit) ||
    !isDialable(address.toString())
  ) {
    throw new TypeError(`a relay needs an address and a peer id, as /ip4/…/tcp/…/p2p/<peer id>: ${text}`)
  }
  return { id: last.value, address }
}

const isCircuit = ({ name }: { readonly name: string }): boolean => name === 'p2p-circuit'
