import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { read, root } from './workspace.js'

const rows = read('SECURITY.md')
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .slice(2)
const linksOf = (text: string): readonly string[] => [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, file = '']) => file)

describe('the threat model', () => {
  it('the threat model names an existing test for each party that can lie', () => {
    expect(rows.length).toBeGreaterThanOrEqual(10)
    const incomplete = rows.filter((row) => {
      const [, party, gain, stop, tests = ''] = row.split('|')
      const isFilled = [party, gain, stop].every((cell) => cell?.trim() !== '')
      return !isFilled || !linksOf(tests).some((file) => file.endsWith('.test.ts'))
    })
    expect(incomplete).toEqual([])
  })

  it('the threat model links to files that exist', () => {
    const missing = linksOf(read('SECURITY.md')).filter((file) => !existsSync(join(root, file)))
    expect(missing).toEqual([])
  })

  it('the README links to the threat model', () => {
    expect(linksOf(read('README.md'))).toContain('SECURITY.md')
  })
})
