import type { MappingEvent } from '@postern/core'
import { describe, expect, it } from 'vitest'
import { createEntry, type Entry, externalOf, note } from '../src/entry.js'

const entryOf = (publicPort: number, privatePort: number): Entry =>
  createEntry({ publicPort, privatePort, protocol: 'tcp', lifetimeMs: 7_200_000 })
const outer = { address: '11.0.0.2', port: 8000 }
const inner = { address: '192.168.0.2', port: 8000 }
const about = (event: MappingEvent['event'], details: Partial<MappingEvent> = {}): MappingEvent => ({
  event,
  strategy: 'pcp',
  protocol: 'tcp',
  internal: { address: '192.168.1.2', port: 2000 },
  external: inner,
  lifetimeSeconds: 7200,
  ...details
})
const beyond = { external: outer, through: inner }

describe('what the events say about a port', () => {
  it('the outermost router has the external address, also after the inner one has renewed', () => {
    const entry = entryOf(8000, 2000)
    const entries = new Set([entry])
    note(entries, about('mapped'))
    expect(externalOf(entry)).toEqual(inner)
    note(entries, about('mapped', beyond))
    note(entries, about('renewed'))
    expect(externalOf(entry)).toEqual(outer)
    note(entries, about('lost', beyond))
    expect(externalOf(entry)).toEqual(inner)
    note(entries, about('released'))
    expect(externalOf(entry)).toBeNull()
  })

  it('an event of an earlier mapping does not end the present one', () => {
    const entry = entryOf(8000, 2000)
    note(new Set([entry]), about('mapped'))
    note(new Set([entry]), about('released', { external: { ...inner, port: 8001 } }))
    expect(externalOf(entry)).toEqual(inner)
  })

  it('a refusal behind the next hop is about the port that it leads to, and about no other one', () => {
    const entry = entryOf(8000, 2000)
    const other = entryOf(9000, 8000)
    const entries = new Set([entry, other])
    note(entries, about('mapped'))
    note(
      entries,
      about('mapped', { internal: { address: '192.168.1.2', port: 8000 }, external: { ...inner, port: 9000 } })
    )
    note(entries, about('failed', { internal: inner, external: null, reasons: [] }))
    expect([entry.isRefusedBeyond, other.isRefusedBeyond]).toEqual([true, false])
    expect([entry.reasons, other.reasons]).toEqual([undefined, undefined])
    note(entries, about('mapped', beyond))
    expect(entry.isRefusedBeyond).toBe(false)
  })
})
