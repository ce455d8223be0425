import type { StrategyReport } from '@postern/core'
import { formatDuration, stateWords } from '../../src/model/words.js'
import { Symbol } from './symbol.js'

/** The strategies in the order in which they are tried. */
export function Ladder({ strategies }: { readonly strategies: readonly StrategyReport[] }) {
  return (
    <section aria-labelledby="ladder">
      <h2 id="ladder">What was tried</h2>
      {strategies.length === 0 && <p class="none">Nothing yet.</p>}
      <ol class="ladder">
        {strategies.map((rung, index) => (
          <Rung key={`${rung.name} ${rung.gateway ?? ''} ${index}`} rung={rung} />
        ))}
      </ol>
    </section>
  )
}

const waitWords = { search: 'waits for an answer', grant: 'waits for a mapping' } as const

function Rung({ rung }: { readonly rung: StrategyReport }) {
  const { name, state, tookMs, reason, waitingFor, gateway, through } = rung
  return (
    <li class={`rung ${state}`} data-strategy={name} data-state={state}>
      <Symbol of={state} />
      <span class="name">{name}</span>
      <span class="state">{waitingFor === undefined ? stateWords[state] : waitWords[waitingFor]}</span>
      <span class="time">{tookMs === null ? '' : formatDuration(tookMs)}</span>
      {gateway !== undefined && (
        <span class="more">
          at {gateway}
          {through === undefined ? '' : `, behind ${through}`}
        </span>
      )}
      {reason !== null && (
        <span class="more">
          {reason.message} <code>{reason.code}</code>
        </span>
      )}
    </li>
  )
}
