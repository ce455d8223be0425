import type { NatError } from '@postern/interface'
import type { NatReport, Verdict } from '../model/report.js'

/** What observers report, for advice. */
export interface NatFacts {
  readonly nat: NatReport | null
  /** Why less is concluded than the observers reported; undefined if they agree. */
  readonly dispute: NatError | undefined
  /** Whether observers were asked and none has answered. */
  readonly isSilent: boolean
}

/** Returns the advice for a host that is not reachable directly. */
export function natAdvice({ nat, dispute, isSilent }: NatFacts, verdict: Verdict): readonly string[] {
  if (verdict === 'public') return []
  if (isSilent)
    return [
      'No STUN server answers, so how the NAT behaves is unknown: look for a firewall that blocks UDP to the internet. Hole punching over UDP does not work then; TCP or a relay may.'
    ]
  if (dispute !== undefined)
    return ['The STUN servers contradict each other, so nothing is concluded about the NAT: name another one.']
  if (nat?.mapping === 'address-dependent' || nat?.mapping === 'address-and-port-dependent')
    return [
      'The NAT has another external port for each destination (symmetric): hole punching does not get through to most peers. A port that is mapped in the router, IPv6 or a relay does.'
    ]
  if (nat?.mapping === 'endpoint-independent')
    return [
      'The NAT keeps one external port for all destinations: hole punching over a relay can make direct connections.'
    ]
  return []
}
