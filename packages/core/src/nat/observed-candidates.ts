import { isWildcard, type MultiaddrText } from '@postern/interface'
import { type WantedEndpoint, withSuffix } from '../discovery/endpoints.js'
import type { CandidateReport } from '../model/report.js'
import type { NatObservation } from './nat-behaviour.js'

/**
 * Returns the external addresses at which observers see wanted endpoints. They appear in the report only. The address
 * that a server sees is where replies to this host go; it does not show that other hosts get through. So these
 * candidates stay `claimed`, no witness verifies them, and they are not external addresses of this host.
 *
 * @param known - addresses that the report lists for a better reason
 */
export function observedCandidates(
  natObservations: readonly NatObservation[],
  wants: readonly WantedEndpoint[],
  known: ReadonlySet<string>
): readonly CandidateReport[] {
  const found = new Map<MultiaddrText, CandidateReport>()
  for (const { endpoint, observation, strategy } of natObservations) {
    const want = wants.find(
      ({ endpoint: { protocol, family, address, port } }) =>
        protocol === endpoint.protocol &&
        family === endpoint.family &&
        port === endpoint.port &&
        (address === endpoint.address || isWildcard(address))
    )
    if (want === undefined) continue
    const { protocol, address, port } = endpoint
    const seen = withSuffix(observation.address, want)
    if (known.has(seen)) continue
    found.set(seen, {
      address: seen,
      type: 'observed',
      strategy,
      endpoint: { protocol, address, port },
      state: 'claimed',
      expiresAt: null,
      evidence: []
    })
  }
  return [...found.values()]
}
