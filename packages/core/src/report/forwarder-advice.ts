import { type Forwarder, isGlobal, parseMultiaddr } from '@postern/interface'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { reasonText } from '../model/events.js'
import type { Verdict } from '../model/report.js'
import type { CandidateFact, Facts } from './facts.js'

type ForwarderFacts = Pick<Facts, 'candidates' | 'entries' | 'wants'>

/** Returns what to do about forwarders: about their failures, or about what they lack while their port is in use. */
export function forwarderAdvice(facts: ForwarderFacts, verdict: Verdict): readonly string[] {
  if (verdict === 'public') return []
  return verdict === 'relayed'
    ? facts.candidates.flatMap(lackAdvice)
    : [...facts.entries.flatMap(failureAdvice(facts)), ...facts.candidates.flatMap(privateAdvice)]
}

/** Returns the advice where forwarders are the only strategies, so that no router was asked; undefined otherwise. */
export function onlyForwardersAdvice({ entries }: Pick<Facts, 'entries'>): string | undefined {
  const names = entries.filter(isForwarderEntry).map(({ name }) => name)
  if (names.length === 0 || entries.some(({ kind }) => kind === 'mapper')) return undefined
  return `Add any to the strategies for a direct address: with ${names.join(' and ')} alone no router is asked.`
}

/** Returns the advice behind a carrier's NAT. It suggests no other host where one is named or in use. */
export function carrierNatAdvice({ entries, relays, wants }: Pick<Facts, 'entries' | 'relays' | 'wants'>): string {
  const isUdpOnly = wants.length > 0 && wants.every(({ endpoint }) => endpoint.protocol === 'udp')
  const plain = isUdpOnly ? '' : ' (ssh:<user>@<host> for a plain program)'
  const ways = relays > 0 || entries.some(isForwarderEntry) ? ', or use IPv6' : `, use IPv6, or add a relay${plain}`
  return `Ask the provider for a public IPv4 address${ways}: the provider shares one address among several customers.`
}

const isForwarderEntry = ({ kind }: StrategyEntry): boolean => kind === 'forwarder'

/** Says why a forwarder has no port for this host. */
const failureAdvice =
  ({ wants }: ForwarderFacts) =>
  ({ name, kind, abilities, absence, status }: StrategyEntry): readonly string[] => {
    if (kind !== 'forwarder' || wants.length === 0) return []
    const forwarders = [...abilities.values()].filter((each): each is Forwarder => each.kind === 'forwarder')
    const carries = (forwarder: Forwarder): boolean =>
      wants.some(({ endpoint }) => forwarder.protocols.includes(endpoint.protocol))
    if (forwarders.length > 0 && !forwarders.some(carries))
      return [`Do not rely on ${name}: it does not carry ${wants[0]?.endpoint.protocol === 'udp' ? 'UDP' : 'TCP'}.`]
    const reason = status.leases > 0 ? undefined : (status.failure ?? (forwarders.length === 0 ? absence : undefined))
    // The message says what to do at the other host.
    return reason === undefined ? [] : [`${name} has no port of the other host: ${reasonText(reason)}.`]
  }

/** Says what to do if the other host is named by an address that only hosts in its own network reach. */
function privateAdvice({ address, relay, strategy }: CandidateFact): readonly string[] {
  const host = parseMultiaddr(address)?.address ?? ''
  if (relay?.isEncrypted === undefined || isGlobal(host)) return []
  return [
    `Name ${relay.party} by its public address: ${strategy} lends a port at ${host}, which the internet cannot reach.`
  ]
}

/** Says what a forwarder does not do for the connections that it carries. */
function lackAdvice({ relay, strategy }: CandidateFact): readonly string[] {
  const { party, isEncrypted, tellsClients } = relay ?? {}
  const lacks = [
    ...(isEncrypted === false ? ['Serve TLS: the connections from there to this machine are not encrypted.'] : []),
    ...(tellsClients === false ? ['The program sees a loopback address instead of the address of each client.'] : [])
  ]
  return lacks.length === 0 ? [] : [`${strategy} ${party} carries the connections. ${lacks.join(' ')}`]
}
