import type { StrategyReport } from '@postern/core'
import { formatDuration, isDoubted, rungWords } from '../../src/model/words.js'
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

function Rung({ rung }: { readonly rung: StrategyReport }) {
  const { name, state, tookMs, reason, gateway, through } = rung
  const sign = isDoubted(rung) ? 'doubted' : state
  return (
    <li class={`rung ${sign}`} data-strategy={name} data-state={state}>
      <Symbol of={sign} />
      <span class="name">{name}</span>
      <span class="state">{rungWords(rung)}</span>
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
