import type { StrategyReport } from '@postern/core'
import { expect, it } from 'vitest'
import { pictureOf } from '../../src/model/picture.js'
import { isDoubted, rungWords } from '../../src/model/words.js'
import { situations } from '../support/situations.mjs'

const active: StrategyReport = { name: 'pcp', kind: 'mapper', rank: 0, state: 'active', tookMs: 9, reason: null }
const because = (code: string): StrategyReport => ({ ...active, reason: { code, message: 'why' } })

it.each(['NO_REPLY', 'REFUSED', 'UNREACHABLE', 'ATTEMPT_TIMEOUT'])(
  'a mapping whose router did not answer (%s) is in doubt',
  (code) => {
    expect(isDoubted(because(code))).toBe(true)
    expect(rungWords(because(code))).toBe('in doubt: no answer now')
  }
)

it.each(['PORT_TAKEN', 'GRANT_UNCHECKED', 'DOUBLE_NAT'])('a remark about a mapping (%s) is no silence', (code) => {
  expect(isDoubted(because(code))).toBe(false)
  expect(rungWords(because(code))).toBe('in use')
})

it('only what maps can be in doubt: an observer that fails takes nothing away', () => {
  expect(isDoubted({ ...because('NO_REPLY'), kind: 'observer' })).toBe(false)
  expect(isDoubted({ ...because('NO_REPLY'), state: 'failed' })).toBe(false)
  expect(rungWords({ ...active, state: 'available', waitingFor: 'grant' })).toBe('waits for a mapping')
})

it('the picture says that the router does not answer', () => {
  const { report } = situations['two-routers']
  const strategies = report.strategies.map((each) =>
    each.state === 'active' ? { ...each, reason: { code: 'REFUSED', message: 'the port is closed' } } : each
  )
  expect(pictureOf({ ...report, strategies }).chain[1]?.details).toContain('mapped with pcp, no answer now')
})
