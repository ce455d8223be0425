import { useState } from 'preact/hooks'
import { redact } from '../../src/model/redact.js'
import type { LoggedEvent, Snapshot } from '../../src/model/state.js'
import { type EventGroup, eventGroups, eventLine, filterEvents, groupOf } from '../../src/model/timeline.js'
import { Time } from './candidates.js'

/** How many events are shown. All that the page has are searched and saved. */
const maxShown = 100

const groupWords: Readonly<Record<EventGroup, string>> = {
  addresses: 'Addresses',
  strategies: 'Strategies',
  verdict: 'Verdict',
  peers: 'Peers'
}

interface TimelineProps {
  readonly events: readonly LoggedEvent[]
  readonly snapshot: Snapshot
  readonly isLive: boolean
}

/** What happened, the latest first. It can be filtered, and saved with the report. */
export function Timeline({ events, snapshot, isLive }: TimelineProps) {
  const [groups, setGroups] = useState<ReadonlySet<EventGroup>>(new Set(eventGroups))
  const [text, setText] = useState('')
  const [isPrivate, setPrivate] = useState(true)
  const shown = filterEvents(events, groups, text, maxShown)
  const toggle = (group: EventGroup): void =>
    setGroups(new Set(eventGroups.filter((each) => groups.has(each) !== (each === group))))
  return (
    <section aria-labelledby="timeline">
      <h2 id="timeline">What happened</h2>
      <form class="tools" onSubmit={(event) => event.preventDefault()}>
        <fieldset>
          <legend>Show</legend>
          {eventGroups.map((group) => (
            <label key={group}>
              <input type="checkbox" checked={groups.has(group)} onChange={() => toggle(group)} /> {groupWords[group]}
            </label>
          ))}
        </fieldset>
        <label>
          Search <input type="search" value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} />
        </label>
        <fieldset>
          <legend>For a bug report</legend>
          <label>
            <input type="checkbox" checked={isPrivate} onChange={() => setPrivate(!isPrivate)} /> Replace addresses,
            peers and host names
          </label>
          <button type="button" onClick={() => save(snapshot, events, isPrivate)}>
            Save as JSON
          </button>
        </fieldset>
      </form>
      {shown.length === 0 && (
        <p class="none">
          {events.length === 0 ? (isLive ? 'Nothing yet.' : 'No events were saved.') : 'Nothing matches.'}
        </p>
      )}
      <ol class="timeline">
        {shown.map((event) => (
          <li key={event.seq} data-group={groupOf(event)} data-seq={event.seq}>
            <Time at={event.at} /> <span>{eventLine(event)}</span>
          </li>
        ))}
      </ol>
      {shown.length === maxShown && <p class="none">The latest {maxShown} are shown. All are in the JSON.</p>}
    </section>
  )
}

const revokeDelayMs = 60_000

/** Offers the report and the events as a file. */
function save(snapshot: Snapshot, events: readonly LoggedEvent[], isPrivate: boolean): void {
  const whole = { ...snapshot, events }
  const text = JSON.stringify(isPrivate ? redact(whole) : whole, null, 2)
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `postern-${snapshot.at.replaceAll(':', '')}.json`
  link.click()
  // Some browsers read it later.
  setTimeout(() => URL.revokeObjectURL(url), revokeDelayMs)
}
