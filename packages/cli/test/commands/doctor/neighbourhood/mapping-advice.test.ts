import type { HeldMapping, MappingsReport } from '@postern/core'
import { describe, expect, it } from 'vitest'
import { mappingAdvice, mappingLines } from '../../../../src/commands/doctor/neighbourhood/mapping-advice.js'

const held: HeldMapping = {
  protocol: 'tcp',
  externalPort: 8080,
  internal: { address: '192.168.1.3', port: 80 },
  description: null,
  lifetimeSeconds: null,
  program: null
}
const mappings = (more: Partial<MappingsReport>): MappingsReport => ({
  oddities: [],
  listed: null,
  heldByOthers: [],
  ...more
})

describe('mappingAdvice', () => {
  it('an ordinary router, and one that nothing is known of, give no line and no advice', () => {
    for (const each of [null, mappings({})]) {
      expect(mappingLines(each)).toEqual([])
      expect(mappingAdvice({ mappings: each })).toEqual([])
    }
  })

  it('the mapping that holds the port is named with what is known of it', () => {
    const known = { ...held, description: 'game', lifetimeSeconds: 60, program: 'nginx (process 42)' }
    expect(mappingLines(mappings({ heldByOthers: [held, known] }))).toEqual([
      'Taken: the router maps external TCP port 8080 to 192.168.1.3, port 80, without an end',
      'Taken: the router maps external TCP port 8080 to 192.168.1.3, port 80, where nginx (process 42) listens as "game", for 60 s more'
    ])
  })

  it('at most three mappings are named', () => {
    const lines = mappingLines(mappings({ heldByOthers: Array.from({ length: 5 }, () => held) }))
    expect(lines).toHaveLength(4)
    expect(lines[3]).toBe('Taken: 2 more, see --json')
  })

  it.each([
    [null, /^Delete old port mappings/],
    [32, /^Delete old port mappings/],
    [0, /^Try another port, .* and lists none/],
    [2, /^Try another port, .* and lists only 2/]
  ])('the advice about a full table depends on what the router lists (%s)', (listed, advice) => {
    const report = mappings({ oddities: ['table-full'], listed })
    expect(mappingAdvice({ mappings: report })).toEqual([expect.stringMatching(advice)])
    expect(mappingLines(report)).toEqual(['Router: says that it has no room for another mapping (table-full)'])
  })
})
