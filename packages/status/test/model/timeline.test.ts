import { describe, expect, it } from 'vitest'
import type { LoggedEvent } from '../../src/model/state.js'
import { addEvents, eventGroups, eventLine, filterEvents } from '../../src/model/timeline.js'
import { formatDuration, verdictLine } from '../../src/model/words.js'
import { situations } from '../support/situations.mjs'

const lines = (events: readonly LoggedEvent[]): readonly string[] => events.map(eventLine)
const all = new Set(eventGroups)

describe('the timeline', () => {
  it('each kind of event is a line', () => {
    const relayed = lines(situations.relayed.events)
    expect(relayed).toContain('relay: in use')
    expect(relayed).toContain('pcp: not there (the router does not answer)')
    expect(relayed).toContain('mapped: tcp 192.168.1.2:4001 ← 11.0.0.2:4001 by upnp for 1 h')
    expect(relayed).toContain('Reachable through another host only (mapping-not-honoured)')
    expect(relayed).toContain('peer 12D3KooWJW…2NASuq: failed (symmetric-both)')
    expect(lines(situations['carrier-nat'].events).join('\n')).toContain(
      '(nat-pmp: the router has no external address to map)'
    )
  })

  it('the kinds and the text that were chosen are shown, the latest first', () => {
    const { events } = situations.relayed
    const peers = filterEvents(events, new Set(['peers']), '', 100)
    expect(peers.map(({ seq }) => seq)).toEqual([12, 11])
    expect(filterEvents(events, all, '  SYMMETRIC ', 100)).toHaveLength(1)
    expect(filterEvents(events, all, '', 3).map(({ seq }) => seq)).toEqual([12, 11, 10])
    expect(filterEvents(events, new Set(), '', 100)).toEqual([])
  })

  it('events that came twice, after a new connection, are there once, and the oldest are dropped', () => {
    const { events } = situations.relayed
    expect(addEvents(events.slice(0, 4), events, 100)).toEqual(events)
    expect(addEvents(events, events, 100)).toBe(events)
    expect(addEvents(events.slice(0, 4), events, 5)).toEqual(events.slice(-5))
  })
})

describe('the words', () => {
  it.each([
    [0, '0 ms'],
    [12.4, '12 ms'],
    [999.6, '1.0 s'],
    [1500, '1.5 s'],
    [9990, '10 s'],
    [61_000, '1 min 1 s'],
    [3_599_400, '59 min 59 s'],
    [3_599_600, '1 h'],
    [7_140_000, '1 h 59 min'],
    [172_800_000, '48 h']
  ])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text))

  it('the verdict that no host has tried is probable', () => {
    expect(verdictLine(situations['two-routers'].report)).toBe(
      'Probably reachable from outside. No host outside has tried it yet.'
    )
  })

  it('the verdict says over which protocol', () => {
    const { report } = situations.verified
    expect(verdictLine(report)).toBe('Reachable from outside.')
    expect(verdictLine({ ...report, protocols: { tcp: 'private', udp: 'public' } })).toBe(
      'Reachable from outside, over UDP only.'
    )
  })
})
