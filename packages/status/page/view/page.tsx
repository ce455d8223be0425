import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { type Lifetimes, noteLifetimes } from '../../src/model/leases.js'
import type { LoggedEvent, Snapshot } from '../../src/model/state.js'
import { addEvents } from '../../src/model/timeline.js'
import type { Feed } from '../feed.js'
import { Candidates } from './candidates.js'
import { Ladder } from './ladder.js'
import { Leases } from './leases.js'
import { Peers } from './peers.js'
import { Timeline } from './timeline.js'
import { Verdict } from './verdict.js'
import { WayIn } from './way-in.js'

/** The events that the page keeps. The program keeps fewer. */
const maxEvents = 2000

interface State {
  readonly snapshot: Snapshot
  readonly events: readonly LoggedEvent[]
  readonly lifetimes: Lifetimes
}

/** The whole page. */
export function Page({ feed }: { readonly feed: Feed }) {
  const [state, setState] = useState<State>()
  const [isConnected, setConnected] = useState(true)
  useLayoutEffect(
    () =>
      feed.follow(
        (snapshot) =>
          setState((before) => ({
            snapshot,
            events: addEvents(before?.events ?? [], snapshot.events, maxEvents),
            lifetimes: noteLifetimes(before?.lifetimes ?? new Map(), snapshot)
          })),
        setConnected
      ),
    [feed]
  )
  const nowMs = useNow(feed.isLive && isConnected, state?.snapshot)
  if (state === undefined) {
    return (
      <main>
        <h1>postern</h1>
        <p role="status">{isConnected ? 'Waiting for the program …' : 'The program does not answer.'}</p>
      </main>
    )
  }
  const { snapshot, events, lifetimes } = state
  const { report, title, at } = snapshot
  return (
    <>
      <header>
        <h1>{title}</h1>
        <p class="source" role="status">
          {!feed.isLive ? `Saved ${timeText(at)}` : isConnected ? 'Live' : 'The program has ended, or does not answer'}
        </p>
      </header>
      <main>
        <Verdict report={report} />
        <WayIn report={report} />
        <div class="columns">
          <Ladder strategies={report.strategies} />
          <div>
            <Leases report={report} lifetimes={lifetimes} nowMs={nowMs} />
            <Peers peers={report.peers ?? []} />
          </div>
        </div>
        <Candidates candidates={report.candidates} />
        <Timeline events={events} snapshot={snapshot} isLive={feed.isLive} />
      </main>
    </>
  )
}

const timeText = (at: string): string => new Date(at).toLocaleString()

/** Returns the time of the program, each second, as long as the page is connected; then the time of the last message. */
function useNow(isRunning: boolean, snapshot: Snapshot | undefined): number {
  const [, tick] = useState(0)
  // The clock of the browser may be of another machine, if the port is forwarded.
  const heardMs = useRef(performance.now())
  const at = snapshot?.at
  useMemo(() => {
    heardMs.current = performance.now()
  }, [at])
  useEffect(() => {
    if (!isRunning) return undefined
    const timer = setInterval(() => tick((count) => count + 1), 1000)
    return () => clearInterval(timer)
  }, [isRunning])
  if (at === undefined) return 0
  return Date.parse(at) + (isRunning ? performance.now() - heardMs.current : 0)
}
