import { brokenStrategies, referenceMapper } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { conformance } from '../src/index.js'
import { brokenMappers } from './broken/mappers.js'
import { brokenParties, partySubject } from './broken/parties.js'
import { failures, referenceSubject } from './reference-subject.js'

const broken = [...brokenStrategies, ...brokenMappers].map(({ strategy, ...each }) => ({
  ...each,
  subject: referenceSubject(strategy)
}))
const honest = referenceSubject(referenceMapper)

describe('the suite', () => {
  it('lets an honest mapper pass', async () => {
    expect(await failures(honest)).toEqual([])
  })

  it.each(['relay', 'witness', 'observer', 'puncher'] as const)('lets an honest %s pass', async (kind) => {
    expect(await failures(partySubject(kind))).toEqual([])
  })

  it.each(broken)('finds that a strategy that $name breaks $breaks, and nothing else', async ({ subject, breaks }) => {
    expect(await failures(subject)).toEqual([breaks])
  })

  it.each(brokenParties)('finds that a $name breaks $breaks, and nothing else', async ({ subject, breaks }) => {
    expect(await failures(subject)).toEqual([breaks])
  })

  it('has a broken strategy for every test', async () => {
    const broke = [...broken, ...brokenParties].map(({ breaks }) => breaks)
    const ids = (await conformance(honest)).map(({ id }) => id)
    expect([...new Set(broke)].sort()).toEqual([...ids].sort())
  })
})
