import { classOf, isGlobal, parseMultiaddr } from '@postern/interface'
import type { CandidateFact } from './facts.js'

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
