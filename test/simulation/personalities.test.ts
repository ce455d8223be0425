import { personalities } from '@postern/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { liveWith, type Outcome } from './routers.js'

const outcomes: Outcome[] = []

describe('the ladder at a router of the field', () => {
  it.each(personalities.map((each) => [each.name, each] as const))('%s', async (_name, personality) => {
    const outcome = await liveWith(personality)
    outcomes.push(outcome)
    const { mappedBy, reached, minReachedPercent = 99, released, cause } = personality.expected
    expect(outcome).toMatchObject({ mappedBy, reached, released, cause, complaints: [] })
    if (reached) expect(outcome.reachedPercent).toBeGreaterThanOrEqual(minReachedPercent)
    // Every cause comes with advice.
    expect(outcome.advice === '').toBe(cause === null)
  })

  it.each(['tr-064-only', 'empty-address'])('the search for %s backs off for three hours', async (name) => {
    const found = personalities.find((each) => each.name === name)
    if (found === undefined) throw new Error('no such router')
    // A round has seven searches: 60 rounds would be one every three minutes.
    expect((await liveWith(found)).asked).toBeLessThan(600)
  })

  it('each personality has its own name and oddity, and a public source', () => {
    expect(personalities.length).toBeGreaterThanOrEqual(30)
    for (const texts of [personalities.map(({ name }) => name), personalities.map(({ oddity }) => oddity)])
      expect(texts).toEqual([...new Set(texts)])
    expect(personalities.filter(({ name }) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))).toEqual([])
    expect(personalities.filter(({ source }) => !/^https?:\/\/\S+\/\S+$/.test(source))).toEqual([])
    expect(personalities.filter(({ oddity, expected }) => ![oddity, expected.does].every(isSentence))).toEqual([])
  })
})

const isSentence = (text: string): boolean => /^[A-Zm].*\.$/.test(text) && !text.includes('\n')

afterAll(() => {
  const head = ['router', 'mapped', 'reached', 'released', 'asked', 'advice']
  const rows = outcomes.map(({ name, mappedBy, reached, reachedPercent, released, asked, advice }) => [
    name,
    mappedBy ?? 'no',
    reached ? `${reachedPercent} %` : 'no',
    released ? 'yes' : 'no',
    String(asked),
    advice.length > 60 ? `${advice.slice(0, 59)}…` : advice
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)))
  const lines = [head, ...rows].map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  )
  console.log(lines.join('\n'))
})
