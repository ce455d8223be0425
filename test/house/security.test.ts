import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { read, root } from './workspace.js'

const text = read('SECURITY.md')
const model = text.slice(text.indexOf('## Threat model'), text.indexOf('## What it does not stop'))
/** One section for each party: its heading, and what follows. */
const parties = model
  .split(/^### /m)
  .slice(1)
  .map((part) => ({ name: part.slice(0, part.indexOf('\n')), part }))
const linksOf = (part: string): readonly string[] => [...part.matchAll(/\]\(([^)#]+)\)/g)].map(([, file = '']) => file)

/** Returns what the list item of a section says, on all its lines. */
const itemOf = (part: string, name: string): string =>
  new RegExp(String.raw`^- \*\*${name}\*\*: ((?:.+\n?)(?: {2}.+\n?)*)`, 'm').exec(part)?.[1] ?? ''

/** The anchor of a heading, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .replace(/ /g, '-')

describe('the threat model', () => {
  it('the threat model says of each party what it gains, what stops it and what remains, and names an existing test', () => {
    expect(parties.length).toBeGreaterThanOrEqual(15)
    const incomplete = parties.filter(({ part }) => {
      const isFilled = ['Gains', 'Stopped by', 'Remains'].every((item) => itemOf(part, item).trim().length > 20)
      return !isFilled || !linksOf(itemOf(part, 'Tests')).some((file) => file.endsWith('.test.ts'))
    })
    expect(incomplete.map(({ name }) => name)).toEqual([])
  })

  it('the list of places names each section once', () => {
    const anchors = parties.map(({ name }) => anchorOf(name))
    const named = [...model.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = '']) => anchor)
    expect(named.toSorted()).toEqual(anchors.toSorted())
  })

  it('the threat model links to files that exist', () => {
    const missing = linksOf(text).filter((file) => !existsSync(join(root, file)))
    expect(missing).toEqual([])
  })

  it('the README links to the threat model', () => {
    expect(linksOf(read('README.md'))).toContain('SECURITY.md')
  })
})
