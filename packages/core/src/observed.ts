import { isWildcard, type MultiaddrText } from '@postern/interface'
import type { CandidateReport } from './report.js'
import type { Sighting } from './sightings.js'
import { type Want, withSuffix } from './wants.js'

/**
 * The external addresses that observers see wanted endpoints at. They stand in the report and nowhere else: what a server
 * sees is where answers to us go, and never a reason to think that others get through. So they are `claimed` for good,
 * nobody is asked to verify them, and they are no external addresses of ours.
 *
 * @param known - addresses that stand in the report for a better reason
 */
export function observedCandidates(
  sightings: readonly Sighting[],
  wants: readonly Want[],
  known: ReadonlySet<string>
): readonly CandidateReport[] {
  const found = new Map<MultiaddrText, CandidateReport>()
  for (const { endpoint, observation, strategy } of sightings) {
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
