import type { MappingEvent } from '@postern/core'
import type { LoggedEvent } from './state.js'
import { formatDuration, shortParty, stateWords, verdictWords } from './words.js'

/** The kinds of events by which the timeline is filtered. */
export const eventGroups = ['addresses', 'strategies', 'verdict', 'peers'] as const
/** A kind of events. */
export type EventGroup = (typeof eventGroups)[number]

/** Returns the kind of an event. */
export const groupOf = ({ name }: LoggedEvent): EventGroup =>
  name === 'strategy' ? 'strategies' : name === 'verdict' ? 'verdict' : name === 'upgrade' ? 'peers' : 'addresses'

/** Returns an event as a line of text. */
export function eventLine(event: LoggedEvent): string {
  if (event.name === 'strategy') {
    const { name, state, reason, gateway } = event.detail
    return `${name}${gateway === undefined ? '' : ` at ${gateway}`}: ${stateWords[state]}${reason === null ? '' : ` (${reason.message})`}`
  }
  if (event.name === 'verdict') {
    const { verdict, cause } = event.detail
    return `${verdictWords[verdict]}${cause === null ? '' : ` (${cause})`}`
  }
  if (event.name === 'upgrade') {
    const { peer, state, cause, address } = event.detail
    return `peer ${shortParty(peer)}: ${state}${cause === null ? '' : ` (${cause})`}${address === null ? '' : `, ${address}`}`
  }
  return mappingLine(event.detail)
}

function mappingLine({
  event,
  strategy,
  protocol,
  internal,
  external,
  lifetimeSeconds,
  reasons = []
}: MappingEvent): string {
  const inside = `${protocol} ${hostPort(internal)}`
  const outside = external === null ? '' : ` ← ${hostPort(external)}`
  const life = lifetimeSeconds === null ? '' : ` for ${formatDuration(lifetimeSeconds * 1000)}`
  const why = reasons.map(({ strategy: name, message }) => ` (${name}: ${message})`).join('')
  return `${event}: ${inside}${outside}${strategy === null ? '' : ` by ${strategy}`}${life}${why}`
}

const hostPort = ({ address, port }: MappingEvent['internal']): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`

/** Returns the events of the chosen kinds that contain a text, the latest first. */
export function filterEvents(
  events: readonly LoggedEvent[],
  groups: ReadonlySet<EventGroup>,
  text: string,
  max: number
): readonly LoggedEvent[] {
  const wanted = text.trim().toLowerCase()
  const found: LoggedEvent[] = []
  for (let index = events.length - 1; index >= 0 && found.length < max; index--) {
    const event = events[index]
    if (event === undefined || !groups.has(groupOf(event))) continue
    if (wanted === '' || `${event.name} ${eventLine(event)}`.toLowerCase().includes(wanted)) found.push(event)
  }
  return found
}

/** Adds the events of a message. Those that are there already, after a new connection, are left out; the oldest are dropped. */
export function addEvents(
  before: readonly LoggedEvent[],
  more: readonly LoggedEvent[],
  max: number
): readonly LoggedEvent[] {
  const last = before.at(-1)?.seq ?? 0
  const fresh = more.filter(({ seq }) => seq > last)
  return fresh.length === 0 ? before : [...before, ...fresh].slice(-max)
}
