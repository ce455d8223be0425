import { classOf, type Gateway, isGlobal, type Network, parseMultiaddr } from '@postern/interface'
import { isOffRoute, nextHopBefore } from '../discovery/endpoints.js'
import type { Verdict } from '../model/report.js'
import type { CandidateFact, Facts } from './facts.js'

const hostOf = ({ address }: CandidateFact): string => parseMultiaddr(address)?.address ?? ''

/** Finds an address that the internet cannot reach, told by a strategy that asks no router: a firewall with an API, for example. */
export const unreachableClaim = (candidates: readonly CandidateFact[]): CandidateFact | undefined =>
  candidates.find(
    (candidate) => candidate.type === 'manual' && candidate.isForward !== true && !isGlobal(hostOf(candidate))
  )

/** Returns what to do about such an address; undefined where there is none. */
export function unreachableClaimAdvice(candidates: readonly CandidateFact[]): string | undefined {
  const claim = unreachableClaim(candidates)
  if (claim === undefined) return undefined
  const host = hostOf(claim)
  return `Give ${claim.strategy ?? 'the strategy'} the public address of this host: the address that it tells, ${host}, is ${classOf(host)}, and the internet cannot reach it.`
}

/** Returns what to do where witnesses did not reach a port that the user says is forwarded; undefined where there is none. */
export function refutedForwardAdvice(candidates: readonly CandidateFact[]): string | undefined {
  const refuted = candidates.find(({ type, state }) => type === 'manual' && state === 'refuted')
  if (refuted === undefined) return undefined
  const { address = '', port = 0 } = parseMultiaddr(refuted.address) ?? {}
  return `Check in the router's settings that port ${port} of ${address} is forwarded to this machine. If it is, look for a firewall on this machine or at the provider: no witness reached it.`
}

/** Names the addresses that only the user claims, and the gateways in use that replies do not leave through. */
export function claimAdvice({ candidates, entries, network }: Facts, verdict: Verdict): readonly string[] {
  if (verdict === 'public') return []
  const byHand = candidates.filter(
    ({ isClaim, type, state }) => isClaim === true && type === 'manual' && state === 'claimed'
  )
  const offRoute = entries.flatMap(({ abilities, status }) =>
    [...abilities.values()].flatMap((ability) =>
      status.leases > 0 && ability.kind === 'mapper' && ability.gateway !== null && isOffRoute(ability.gateway, network)
        ? [ability.gateway]
        : []
    )
  )
  return [
    ...(byHand.length === 0
      ? []
      : [`Only you say that ${byHand.map(({ address }) => address).join(', ')} leads here.`]),
    ...new Set(offRoute.map((gateway) => offRouteAdvice(gateway, network)))
  ]
}

function offRouteAdvice(gateway: Gateway, network: Network): string {
  const { address } = gateway
  const before = nextHopBefore(gateway, network)
  return before === undefined
    ? `${address} maps the port, but replies do not leave through it: without policy routing no connection succeeds.`
    : `${address} maps the port to ${before.address}, which is before it and passes on only what it maps or forwards itself: name no gateway, and both routers are asked.`
}
