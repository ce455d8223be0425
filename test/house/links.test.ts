import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { linksOf, replaceLinks } from '../../scripts/markdown-links.mjs'
import { read, root } from './workspace.js'

/** Returns every page for readers, and none that is installed or built. */
function pagesIn(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return /^(?:\.(?!github)|node_modules|dist|attacks)/.test(entry.name) ? [] : pagesIn(path)
    return entry.isFile() && entry.name.endsWith('.md') ? [path] : []
  })
}

/** Returns the fragments of a page: GitHub makes one of each heading. */
function fragmentsOf(text: string): readonly string[] {
  const outsideCode = text.replaceAll(/^(`{3,})[^]*?^\1/gm, '')
  return [...outsideCode.matchAll(/^#+ +(.*)$/gm)].map(([, heading = '']) =>
    heading
      .replaceAll(/\]\([^)]*\)/g, '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
  )
}

function isThere(page: string, target: string): boolean {
  const [path = '', fragment] = target.split('#')
  const file = path === '' ? page : join(dirname(page), decodeURIComponent(path))
  if (file.startsWith('..') || !existsSync(join(root, file))) return false
  return fragment === undefined || (file.endsWith('.md') && fragmentsOf(read(file)).includes(fragment))
}

const isRelative = (target: string): boolean => !/^[a-z][\w+.-]*:/i.test(target)

it.each(pagesIn('.'))('%s links to files and headings that exist', (page) => {
  const wrong = linksOf(read(page)).filter((target) => isRelative(target) && !isThere(page, target))
  expect(wrong).toEqual([])
})

describe('the links of a Markdown text', () => {
  const shout = (text: string): string => replaceLinks(text, (target: string) => target.toUpperCase())

  it.each([
    ['[a](b.md)', '[a](B.MD)'],
    ['[a](b.md#c "title") and [`d`](e)', '[a](B.MD#C "title") and [`d`](E)'],
    ['[![a](b.png)](c)', '[![a](B.PNG)](C)'],
    ['[a](<b c.md>)', '[a](<B C.MD>)'],
    ['[a](b_(c).md)', '[a](B_(C).MD)'],
    ['[a][b]\n\n[b]: c.md', '[a][b]\n\n[b]: C.MD'],
    ['<a href="b.md">c</a> <img src="d.png">', '<a href="B.MD">c</a> <img src="D.PNG">'],
    ['- a\n    [b](c.md)', '- a\n    [b](C.MD)']
  ])('the links of a Markdown text are found: %j', (text, expected) => expect(shout(text)).toBe(expected))

  it.each([
    '`[a](b)`',
    '``[a](b) ` [c](d)``',
    '```md\n[a](b)\n```\n',
    '~~~\n[a](b)\n```\n[c](d)\n~~~\n',
    '````\n```\n[a](b)\n```\n````\n',
    '> ```\n> [a](b)\n> ```\n',
    'f(a)[0](b c)',
    'no link'
  ])('links in code do not count: %j', (text) => expect(linksOf(text)).toEqual([]))

  it('links after a block of code are found', () => {
    expect(linksOf('```\n[a](b)\n```\n[c](d) `[e](f)` [g](h)\n')).toEqual(['d', 'h'])
  })
})
