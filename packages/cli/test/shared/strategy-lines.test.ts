import { PassThrough } from 'node:stream'
import type { StrategyReport } from '@postern/core'
import { describe, expect, it } from 'vitest'
import { createStrategyLines } from '../../src/shared/strategy-lines.js'

const silent = (name: string, changes: Partial<StrategyReport> = {}): StrategyReport => ({
  name,
  kind: null,
  rank: 0,
  state: 'unavailable',
  tookMs: 750,
  reason: { code: 'NO_REPLY', message: `no answer to ${name}` },
  ...changes
})

/** What is written about these reports, a line each. */
function lines(reports: readonly StrategyReport[]): readonly string[] {
  const err = new PassThrough()
  const tell = createStrategyLines(err)
  for (const each of reports) tell(each)
  return String(err.read()).trimEnd().split('\n')
}

describe('what a command that runs on says of its strategies', () => {
  it('is said once of each, also where only the end of its search is new', () => {
    const names = ['pcp', 'nat-pmp', 'upnp']
    const searching = names.map((name) => silent(name, { waitingFor: 'search' }))
    expect(lines([...searching, ...names.map((name) => silent(name))])).toHaveLength(3)
  })

  it('is said again where it has become another', () => {
    const found = silent('pcp', { state: 'active', kind: 'mapper', reason: null })
    expect(lines([silent('pcp'), silent('upnp'), found, silent('pcp')])).toHaveLength(4)
  })
})
