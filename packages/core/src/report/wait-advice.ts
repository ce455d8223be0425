import { isAsked } from '../discovery/search-progress.js'
import type { Facts } from './facts.js'

/**
 * Returns the advice for an `unknown` without a cause: what is pending, and what would decide it. Empty without
 * strategies, and while a router is asked for a port: other advice covers those. Pure.
 */
export function waitAdvice({
  candidates,
  entries,
  firstPassOver,
  quorum,
  wants,
  witnessNetworks
}: Facts): readonly string[] {
  if (entries.length === 0 || entries.some(isAsked)) return []
  if (wants.length === 0) return ['No port of this program listens at the moment: there is nothing to make reachable.']
  const consistent = candidates.filter(({ type, state }) => type !== 'relayed' && state === 'consistent')
  if (consistent.length > 0) return [describeWitnesses(consistent[0]?.address ?? '', witnessNetworks, quorum)]
  const unsettled = entries.filter(({ settled }) => !settled).map(({ name }) => name)
  if (unsettled.length > 0) return [`Wait: still asking (${unsettled.join(', ')}).`]
  const guess = candidates.find(({ type, state, isTried }) => type === 'observed' && state === 'claimed' && !isTried)
  if (guess !== undefined)
    return [`Wait: witnesses are dialling ${guess.address}, because remote parties see this machine there.`]
  if (!firstPassOver) return ['Wait: not everything has been tried yet.']
  const forwarder = entries.find(({ kind }) => kind === 'forwarder')
  if (forwarder !== undefined) return [`Wait: ${forwarder.name} has been asked for a port of the other host.`]
  if (entries.some(({ kind }) => kind === 'relay')) {
    return ['Wait: no relay has been found yet. A relay is a connected peer that passes connections on to this one.']
  }
  return ['Wait: no strategy has found an external address yet.']
}

/** Explains the word witness, because a new user meets it here first. */
function describeWitnesses(address: string, networks: number, quorum: number): string {
  const what = 'A witness is a connected peer that dials the address from outside.'
  if (networks === 0) return `No witness is connected yet: ${address} stays unverified without one. ${what}`
  if (networks < quorum) {
    return `Witnesses on ${networks} of ${quorum} networks are connected: ${address} stays unverified until there are more. ${what}`
  }
  return `Wait: witnesses are dialling ${address}.`
}
