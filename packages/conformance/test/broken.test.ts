import { brokenStrategies, referenceMapper } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { conformance } from '../src/index.js'
import { brokenForwarders, forwarderSubject } from './broken/forwarders.js'
import { brokenMappers } from './broken/mappers.js'
import { brokenParties, partySubject } from './broken/parties.js'
import { failures, referenceSubject } from './reference-subject.js'

const broken = [...brokenStrategies, ...brokenMappers].map(({ strategy, ...each }) => ({
  ...each,
  subject: referenceSubject(strategy)
}))
const honest = referenceSubject(referenceMapper)

describe('the conformance suite', () => {
  it('an honest mapper passes all tests', async () => {
    expect(await failures(honest)).toEqual([])
  })

  it.each(['relay', 'witness', 'observer', 'puncher'] as const)('an honest %s passes all tests', async (kind) => {
    expect(await failures(partySubject(kind))).toEqual([])
  })

  it('an honest forwarder passes all tests', async () => {
    expect(await failures(forwarderSubject())).toEqual([])
  })

  it.each(broken)('a strategy that $name fails $breaks and no other test', async ({ subject, breaks }) => {
    expect(await failures(subject)).toEqual([breaks])
  })

  it.each(brokenParties)('a $name fails $breaks and no other test', async ({ subject, breaks }) => {
    expect(await failures(subject)).toEqual([breaks])
  })

  it.each(brokenForwarders)('a forwarder that $name fails $breaks and no other test', async ({ subject, breaks }) => {
    expect(await failures(subject)).toEqual([breaks])
  })

  it('every test has a broken strategy', async () => {
    const broke = [...broken, ...brokenParties, ...brokenForwarders].map(({ breaks }) => breaks)
    const ids = (await conformance(honest)).map(({ id }) => id)
    expect([...new Set(broke)].sort()).toEqual([...ids].sort())
  })
})
