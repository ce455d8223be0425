import { expect, test } from 'vitest'
import { brokenStrategies, referenceMapper } from '../../src/index.js'
import { checks, failedChecks } from './contract-checks.js'

test('the honest strategy keeps every rule', async () => {
  expect(await failedChecks(referenceMapper)).toEqual([])
})

test('there is a broken strategy for every rule', () => {
  expect([...new Set(brokenStrategies.map(({ breaks }) => breaks))].sort()).toEqual(Object.keys(checks).sort())
})

test.each(brokenStrategies)('a strategy that $name breaks only $breaks', async ({ strategy, breaks }) => {
  expect(await failedChecks(strategy)).toEqual([breaks])
})
