import { createTraversal, type Report } from '@postern/core'
import { expect, it } from 'vitest'
import { describe as describeFindings } from '../../../src/commands/doctor/text.js'
import { colorsFor } from '../../../src/shared/terminal.js'

it('the advice of doctor fits into 40 columns, except for commands', () => {
  const reason = { code: 'NO_REPLY', message: 'no answer from 192.168.1.1 to three requests within four seconds' }
  const strategies: Report['strategies'] = [
    { name: 'pcp', kind: null, state: 'unavailable', tookMs: 750, reason, gateway: null, leases: 0 } as never
  ]
  const shown = { readBack: undefined, hairpin: 'unknown' } as const
  const text = describeFindings(
    {
      report: { ...createTraversal({ strategies: [] }).report(), strategies },
      shown,
      witnesses: [],
      dryRun: false,
      steps: [],
      columns: 40
    },
    colorsFor({ isTTY: false })
  )
  const table = text.slice(text.indexOf('pcp'))
  expect(Math.max(...table.split('\n').map((each) => each.length))).toBeLessThanOrEqual(40)
})
