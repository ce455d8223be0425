import type { CandidateReport } from '@postern/core'
import { Symbol } from './symbol.js'

const typeWords = {
  manual: 'forwarded by hand',
  mapped: 'mapped',
  observed: 'seen from outside',
  relayed: 'at another host',
  local: 'of this machine'
} as const

const stateWords = {
  claimed: 'only claimed',
  consistent: 'nothing contradicts it',
  verified: 'reached from outside',
  refuted: 'could not be reached'
} as const

/** The addresses, and what each party found, and when. */
export function Candidates({ candidates }: { readonly candidates: readonly CandidateReport[] }) {
  return (
    <section aria-labelledby="addresses">
      <h2 id="addresses">Addresses, and the evidence for them</h2>
      {candidates.length === 0 && <p class="none">No external address is known.</p>}
      <ul class="candidates">
        {candidates.map((each, index) => (
          <Candidate key={`${each.address} ${index}`} candidate={each} />
        ))}
      </ul>
    </section>
  )
}

function Candidate({ candidate }: { readonly candidate: CandidateReport }) {
  const { address, type, strategy, endpoint, state, evidence, through, relay } = candidate
  return (
    <li data-state={state}>
      <p>
        <Symbol of={state} />
        <span class="address">{address}</span>
        <span class="state">{stateWords[state]}</span>
      </p>
      <p class="more">
        {typeWords[type]}
        {strategy === null ? '' : ` by ${strategy}`}
        {endpoint === null ? '' : `, leads to ${endpoint.address} port ${endpoint.port} (${endpoint.protocol})`}
        {through === undefined ? '' : `, through ${through}`}
        {relay?.isEncrypted === false ? ', not encrypted' : ''}
      </p>
      {evidence.length > 0 && (
        <ul class="evidence">
          {evidence.map(({ party, network, outcome, at }) => (
            <li key={`${party} ${at}`}>
              <Symbol of={outcome} />
              <span class="party">{party}</span> ({network}): {outcome}, <Time at={at} />
            </li>
          ))}
        </ul>
      )}
    </li>
  )
}

/** A time of day, with the date where a pointer rests. */
export function Time({ at }: { readonly at: string }) {
  const date = new Date(at)
  return (
    <time dateTime={at} title={date.toLocaleString()}>
      {date.toLocaleTimeString()}
    </time>
  )
}
