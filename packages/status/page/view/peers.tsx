import type { PeerReport } from '@postern/core'
import { shortParty } from '../../src/model/words.js'
import { Time } from './candidates.js'
import { Symbol } from './symbol.js'

const steps = ['relayed', 'punching', 'direct'] as const

/** The peers on their way from a relayed connection to a direct one. */
export function Peers({ peers }: { readonly peers: readonly PeerReport[] }) {
  if (peers.length === 0) return null
  return (
    <section aria-labelledby="peers">
      <h2 id="peers">Peers</h2>
      <ul class="peers">
        {peers.toReversed().map(({ peer, state, strategy, cause, at }) => (
          <li key={peer} data-state={state}>
            <span class="party" title={peer}>
              {shortParty(peer)}
            </span>
            <span class="steps">
              {steps.map((step) => (
                <span key={step} class={step === state ? 'now' : 'not'} aria-hidden={step !== state}>
                  {step}
                </span>
              ))}
              {state === 'failed' && (
                <span class="now failed">
                  <Symbol of="failed" /> stays relayed{cause === null ? '' : ` (${cause})`}
                </span>
              )}
            </span>
            <span class="more">
              {strategy}, <Time at={at} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}
