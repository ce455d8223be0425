import type { Report } from '@postern/core'
import { verdictLine } from '../../src/model/words.js'
import { Symbol } from './symbol.js'

/** The verdict in one line, with its cause and what to do. Only this line is read out when it changes. */
export function Verdict({ report }: { readonly report: Report }) {
  const { verdict, cause, advice } = report
  return (
    <section class={`verdict ${verdict}`} aria-labelledby="verdict">
      <h2 id="verdict" class="unseen">
        Verdict
      </h2>
      <p class="line" aria-live="polite">
        <Symbol of={verdict} />
        <span>
          {/* One text each: another one beside it would be written anew, and read out, with each update. */}
          {`${verdictLine(report)} `}
          <code>{cause === null ? verdict : `${verdict} (${cause})`}</code>
        </span>
      </p>
      {advice.length > 0 && (
        <>
          <h3>What to do</h3>
          <ul class="advice">
            {[...new Set(advice)].map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </>
      )}
    </section>
  )
}
