import { brokenStrategies, referenceMapper } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { failures, referenceSubject } from './reference-subject.js'
import { sound } from './sound.js'

describe('the suite', () => {
  it('lets the honest strategy pass', async () => {
    expect(await failures(referenceSubject((table) => sound(referenceMapper(table))))).toEqual([])
  })

  it.each(brokenStrategies)('finds that a strategy that $name breaks $breaks, and nothing else', async (broken) => {
    expect(await failures(referenceSubject((table) => sound(broken.strategy(table))))).toEqual([broken.breaks])
  })
})
