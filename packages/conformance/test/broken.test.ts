import { brokenStrategies } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { failures, referenceSubject } from './reference-subject.js'

describe('the suite', () => {
  it.each(brokenStrategies)('finds that a strategy that $name breaks $breaks, and nothing else', async (broken) => {
    expect(await failures(referenceSubject(broken.strategy))).toEqual([broken.breaks])
  })
})
