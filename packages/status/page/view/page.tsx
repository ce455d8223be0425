import { useEffect, useState } from 'preact/hooks'
import type { Snapshot } from '../../src/model/state.js'
import type { Feed } from '../feed.js'

/** The whole page. */
export function Page({ feed }: { readonly feed: Feed }) {
  const [snapshot, setSnapshot] = useState<Snapshot>()
  const [isConnected, setConnected] = useState(true)
  useEffect(() => feed.follow(setSnapshot, setConnected), [feed])
  if (snapshot === undefined) return <main>Waiting for the program …</main>
  const { title, report } = snapshot
  return (
    <main>
      <h1>{title}</h1>
      {!isConnected && <p>The program has ended, or does not answer.</p>}
      <p class="verdict">
        {report.verdict}
        {report.cause === null ? '' : ` (${report.cause})`}
      </p>
      <ul>
        {report.advice.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </main>
  )
}
