import { isWildcard, parseMultiaddr } from '@postern/interface'
import { localAddress } from '../discovery/endpoints.js'
import type { Facts } from './facts.js'

type ForwardFacts = Pick<Facts, 'network' | 'wants' | 'hasWitnessStrategy' | 'candidates'>

/** How many ports are named. A longer list would hide the rest of the sentence. */
const maxPorts = 3

/** A port to forward. */
export interface Forward {
  readonly protocol: 'TCP' | 'UDP'
  readonly external: number
  /** The address of this machine; undefined if it is not known. */
  readonly host: string | undefined
  readonly port: number
}

/** Returns the ports to forward, at most {@link maxPorts}. */
export function forwardsOf({ network, wants }: Pick<ForwardFacts, 'network' | 'wants'>): readonly Forward[] {
  const all = wants.map(({ endpoint: { protocol, family, address, port }, externalPort }): Forward => {
    const host = isWildcard(address) ? localAddress(network, family) : address
    return { protocol: protocol === 'tcp' ? 'TCP' : 'UDP', external: externalPort ?? port, host, port }
  })
  // A server on :: listens for IPv6 too, where this machine may have no address.
  const known = all.filter(({ host }) => host !== undefined)
  return (known.length > 0 ? known : all).slice(0, maxPorts)
}

/** Returns what to do once the port is forwarded. */
export const nextOf = ({ hasWitnessStrategy }: Pick<ForwardFacts, 'hasWitnessStrategy'>): string =>
  hasWitnessStrategy ? 'then run this again: it is checked' : 'and name it with manual'

/**
 * Returns what to enter in the router to forward the wanted ports by hand, in the words of a router's settings: which port,
 * and to which address and port of this machine. Begins with a verb in lower case.
 */
export function forwardAdvice(facts: ForwardFacts): string {
  const [gateway] = facts.network.gateways
  const next = nextOf(facts)
  const rules = forwardsOf(facts).map(
    ({ protocol, external, host, port }) => `${protocol} port ${external} to ${host ?? 'this machine'}, port ${port}`
  )
  if (rules.length === 0 || gateway === undefined) return `forward the port there by hand, ${next}`
  return `forward ${rules.join(', and ')}, by hand in the settings of ${gateway.address}, ${next}`
}

/** Returns advice that names the addresses at which witnesses see this host and could not reach it. */
export function triedAdvice({ candidates }: ForwardFacts): readonly string[] {
  const tried = candidates.filter(({ type, state }) => type === 'observed' && state === 'refuted')
  if (tried.length === 0) return []
  const addresses = tried.map(({ address }) => {
    const parsed = parseMultiaddr(address)
    return parsed === undefined ? address : `${parsed.address} ${parsed.protocol.toUpperCase()} port ${parsed.port}`
  })
  return [`Witnesses see this machine at ${addresses.join(', ')}, and could not reach it there.`]
}
