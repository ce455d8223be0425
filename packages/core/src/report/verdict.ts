import {
  classOf,
  containerBridgeOf,
  hasNextHop,
  isVpnInterface,
  type Mapper,
  parseMultiaddr,
  type RelayLimits
} from '@postern/interface'
import { isAddressUnknown } from '../candidates/candidates.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { isLoopback, isOnPath } from '../discovery/endpoints.js'
import { isAsked } from '../discovery/search-progress.js'
import type { Cause, Verdict } from '../model/report.js'
import { natAdvice } from '../nat/nat-advice.js'
import { claimAdvice, refutedForwardAdvice, unreachableClaim, unreachableClaimAdvice } from './claim-advice.js'
import { doubleNatAdvice } from './double-nat-advice.js'
import type { CandidateFact, Facts } from './facts.js'
import { forwardAdvice, triedAdvice } from './forward-advice.js'
import { carrierNatAdvice, forwarderAdvice, onlyForwardersAdvice } from './forwarder-advice.js'
import { absenceAdvice, familyAdvice, secondaryAdvice } from './no-mapping-causes.js'
import { waitAdvice } from './wait-advice.js'

export interface Judgement {
  readonly verdict: Verdict
  readonly cause: Cause | null
  readonly advice: readonly string[]
}

/** Concludes how reachable the host is, and why. Pure. */
export function judge(facts: Facts): Judgement {
  const { candidates, firstPassOver, hasWitnessStrategy, relays } = facts
  // An observed address is a guess until witnesses have reached it.
  const isGuess = ({ type, state }: CandidateFact): boolean => type === 'observed' && state !== 'verified'
  const direct = candidates.filter((candidate) => candidate.type !== 'relayed' && !isGuess(candidate))
  const consistent = direct.some(({ state }) => state === 'consistent')
  const unprovable = hasWitnessStrategy && facts.partiesOverdue && facts.witnessNetworks < facts.quorum

  if (direct.some(({ state }) => state === 'verified')) return conclude('public', null, facts)
  if (consistent && (!hasWitnessStrategy || unprovable)) return conclude('public', 'unverified', facts)
  const cause = causeOf(facts, direct)
  if (relays > 0) return conclude('relayed', cause, facts)
  if (cause === 'unverified') return conclude('unknown', firstPassOver ? cause : null, facts)
  if (!firstPassOver || consistent) return conclude('unknown', cause === null || !firstPassOver ? null : cause, facts)
  // A program that listens on loopback only cannot be reached, whatever a router answers. A forwarder reaches it.
  const isForwarded = facts.entries.some((entry) => entry.kind === 'forwarder' && mayYetReserve(entry))
  if (cause === 'loopback-only' && (facts.partiesOverdue || !isForwarded)) return conclude('private', cause, facts)
  // A router that is slow to answer has not refused.
  if (!direct.some(({ type }) => type === 'mapped' || type === 'manual') && facts.entries.some(isAsked))
    return conclude('unknown', null, facts)
  if (facts.beyond?.isPending === true) return conclude('unknown', cause, facts)
  if (!facts.partiesOverdue && facts.entries.some(mayYetReserve)) return conclude('unknown', cause, facts)
  const isRefuted = direct.some(({ state }) => state === 'refuted')
  if (!isRefuted && cause !== 'no-route' && mayYetBeTried(facts, candidates.filter(isGuess)))
    return conclude('unknown', facts.partiesOverdue ? cause : null, facts)
  // No endpoint is wanted and no obstacle is known: there is nothing to conclude yet.
  if (facts.wants.length === 0 && cause === null) return conclude('unknown', null, facts)
  // Without strategies nothing was asked, and only a missing route shows without asking.
  if (facts.entries.length === 0 && cause !== 'no-route') return conclude('unknown', null, facts)
  // Nothing is known to stand in the way: a strategy can still map the port.
  if (cause === null) return conclude('unknown', null, facts)
  return conclude('private', cause, facts)
}

/** Whether a relay or forwarder may still be found, which takes longer than finding out that the router maps nothing. */
const mayYetReserve = ({ kind, settled, abilities, status }: StrategyEntry): boolean =>
  (kind === 'relay' || kind === 'forwarder') && (!settled || (abilities.size > 0 && status.failure === undefined))

/** Whether witnesses have not yet tried an address at which remote parties see this host, or may still see it at one.
 * A quorum of witnesses that do not tell where they see this host has tried nothing. */
const mayYetBeTried = (
  { hasWitnessStrategy, partiesOverdue, quorum, wants, witnessNetworks }: Facts,
  guesses: readonly CandidateFact[]
): boolean =>
  guesses.length > 0
    ? witnessNetworks > 0 && guesses.some(({ isTried }) => isTried === false)
    : hasWitnessStrategy && wants.length > 0 && (!partiesOverdue || witnessNetworks >= quorum)

/** Returns why the host is not reachable directly; null if nothing suggests a reason. */
function causeOf(facts: Facts, direct: readonly CandidateFact[]): Cause | null {
  const { network, wants, entries } = facts
  const [gateway] = network.gateways
  const reachable = direct.filter(({ state }) => state !== 'refuted')

  if (wants.length > 0 && wants.every(({ endpoint }) => isLoopback(endpoint)) && direct.length === 0)
    return 'loopback-only'
  if (direct.some(({ state, type }) => state === 'refuted' && type === 'mapped')) return 'mapping-not-honoured'
  if (direct.some(({ state }) => state === 'refuted')) return 'blocked'
  if (reachable.some(({ state }) => state === 'consistent')) return null

  const behind = reservedCause(facts, reachable)
  if (behind !== null) return behind
  // Only the user claims that the address leads here. A witness may find out.
  const claims = reachable.filter(({ isClaim }) => isClaim === true)
  if (claims.some(({ type }) => type === 'manual')) return 'unverified'
  // An observer or forwarder is configured, not discovered: its presence shows nothing about the network.
  const usable = entries.some(
    ({ kind, named, abilities }) =>
      named !== undefined || (kind !== 'observer' && kind !== 'forwarder' && abilities.size > 0)
  )
  if (gateway === undefined) return usable ? 'blocked' : 'no-route'
  if (!hasNextHop(gateway) || isVpnInterface(gateway.interface)) return 'vpn-default-route'
  if (claims.length > 0 || unknownAddresses(reachable).length > 0) return 'unverified'
  const isFor = ({ family, protocols }: Mapper): boolean =>
    wants.length === 0 ||
    wants.some(({ endpoint }) => endpoint.family === family && protocols.includes(endpoint.protocol))
  const mappers = entries.filter((entry) =>
    [...entry.abilities.values()].some(
      (ability) => ability.kind === 'mapper' && isFor(ability) && isOnPath(ability, entry, network)
    )
  )
  if (containerBridgeOf(gateway) !== undefined && mappers.length === 0) return 'container-bridge'
  if (mappers.some(({ status }) => status.failure !== undefined)) return 'gateway-refused'
  return mappers.length === 0 ? 'no-mapping-service' : null
}

/** Returns the candidates that have a granted port and no external address. */
const unknownAddresses = (candidates: readonly CandidateFact[]): readonly CandidateFact[] =>
  candidates.filter(
    ({ type, state, address, isForward }) =>
      (type === 'mapped' || isForward === true) && state === 'claimed' && isAddressUnknown(address)
  )

/** Codes that show another NAT beyond the gateway, the most telling first. */
const reservedCodes: readonly (readonly [string, Cause])[] = [
  ['CARRIER_NAT', 'carrier-nat'],
  ['DOUBLE_NAT', 'double-nat'],
  ['ADDRESS_MISMATCH', 'double-nat'],
  ['EXTERNAL_ADDRESS_RESERVED', 'reserved-external-address'],
  ['NETWORK_FAILURE', 'reserved-external-address']
]

function reservedCause({ claimChecks, entries }: Facts, direct: readonly CandidateFact[]): Cause | null {
  const classes = direct
    .filter(({ type, address }) => type === 'mapped' && !isAddressUnknown(address))
    .map(({ address }) => classOf(parseMultiaddr(address)?.address ?? ''))
  if (classes.includes('carrier-grade')) return 'carrier-nat'
  if (classes.includes('private')) return 'double-nat'
  const codes = new Set(
    [
      ...claimChecks,
      ...entries.flatMap(({ kind, absence, status }) => (kind === 'observer' ? [] : [absence, status.failure]))
    ].map((each) => each?.code)
  )
  const told = reservedCodes.find(([code]) => codes.has(code))
  if (told !== undefined) return told[1]
  return classes.some((kind) => kind !== 'global') || unreachableClaim(direct) !== undefined
    ? 'reserved-external-address'
    : null
}

const adviceFor: Readonly<Record<Exclude<Cause, 'no-mapping-service' | 'gateway-refused' | 'carrier-nat'>, string>> = {
  'no-route': 'Connect this machine to a network: it has no default route.',
  'double-nat': 'Put one of the two routers into bridge mode, or forward the port in both.',
  'reserved-external-address': 'Look for a second router before this one, or ask the provider for a public address.',
  'mapping-not-honoured':
    'Look for another router or a firewall behind this one: it grants mappings, and no connection comes through.',
  blocked: 'Look for a firewall on this machine or at the provider that drops what comes from outside.',
  unverified:
    'Name a witness to have the address verified from outside, or try it from a phone on mobile data: so far no host outside has.',
  'vpn-default-route':
    "Leave the VPN, use its provider's port forwarding, or let this program's replies bypass the VPN (policy routing): they leave through the VPN now.",
  'container-bridge':
    "Run the program in the host's network, or publish the port and give its external address with manual.",
  'loopback-only':
    'Let the program listen on 0.0.0.0 or on an address of the local network: other machines cannot reach loopback.'
}

/** Returns the advice for a cause. */
function adviceOf(cause: Cause, facts: Facts): string {
  if (cause === 'no-mapping-service') return `Turn on UPnP, NAT-PMP or PCP in the router, or ${forwardAdvice(facts)}.`
  if (cause === 'gateway-refused')
    return `Allow port mapping for this machine in the router, or ${forwardAdvice(facts)}.`
  return cause === 'carrier-nat' ? carrierNatAdvice(facts) : adviceFor[cause]
}

function specificAdvice(cause: Cause, facts: Facts): string | undefined {
  if (cause === 'no-mapping-service')
    return onlyForwardersAdvice(facts) ?? familyAdvice(facts) ?? absenceAdvice(facts.entries, forwardAdvice(facts))
  if (cause === 'double-nat') return doubleNatAdvice(facts)
  if (cause === 'unverified') return unknownAddressAdvice(facts.candidates)
  if (cause === 'reserved-external-address') return unreachableClaimAdvice(facts.candidates)
  return cause === 'blocked' ? refutedForwardAdvice(facts.candidates) : undefined
}

function conclude(verdict: Verdict, cause: Cause | null, facts: Facts): Judgement {
  const specific = cause === null ? undefined : specificAdvice(cause, facts)
  const advice = cause === null ? [] : [specific ?? adviceOf(cause, facts)]
  if (verdict === 'unknown' && cause === null) advice.push(...waitAdvice(facts))
  if (verdict === 'unknown' && facts.entries.length === 0) {
    advice.push('Name a strategy, such as upnp, nat-pmp, pcp or manual: without one nothing is tried.')
  }
  const [gateway] = facts.network.gateways
  const software = gateway === undefined ? undefined : containerBridgeOf(gateway)
  if (software !== undefined && verdict !== 'public' && cause !== 'container-bridge') {
    advice.push(
      `The default route leads to what looks like the bridge of ${software}: its host translates before any router does.`
    )
  }
  const asked = facts.entries.filter(isAsked).map(({ name }) => name)
  if (verdict !== 'public' && asked.length > 0) {
    advice.push(`Wait: the router has not answered yet whether it maps the port (${asked.join(', ')}). Some take 10 s.`)
  }
  if (verdict !== 'public') advice.push(...triedAdvice(facts))
  advice.push(...claimAdvice(facts, verdict), ...natAdvice(facts.nat, verdict))
  if (verdict === 'relayed' && facts.relayLimits !== undefined) advice.push(describeLimits(facts.relayLimits))
  advice.push(...forwarderAdvice(facts, verdict))
  const others = secondaryAdvice(facts.entries, facts.network)
  // The other router may be the same one under another address.
  if (cause === 'no-mapping-service') advice.unshift(...others)
  else advice.push(...others)
  return { verdict, cause, advice }
}

function unknownAddressAdvice(candidates: readonly CandidateFact[]): string | undefined {
  const unknown = unknownAddresses(candidates)
  const ports = unknown.flatMap(({ address }) => parseMultiaddr(address)?.port ?? [])
  if (ports.length === 0) return undefined
  const why = unknown.some(({ type }) => type === 'mapped')
    ? 'the router maps the port and does not tell the address'
    : 'only the forwarded port is known'
  return `Look up the external address in the router's settings, and try port ${[...new Set(ports)].join(', ')} there from a phone on mobile data: ${why}. Or name a witness, which sees the address and tries the port.`
}

function describeLimits({ durationMs, bytes }: RelayLimits): string {
  const time = durationMs === undefined ? [] : [`${Math.round(durationMs / 1000)} s`]
  const data = bytes === undefined ? [] : [`${Math.round(bytes / 1024)} KiB`]
  return `A connection through the relay ends after ${[...time, ...data].join(' or ')}: for more, a direct one is needed.`
}
