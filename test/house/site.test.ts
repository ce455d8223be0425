import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sectionsOf } from '../../scripts/docs-index.mjs'
import { linksOf } from '../../scripts/markdown-links.mjs'
import { brokenLinks } from '../../scripts/site/broken-links.mjs'
import { packages, read, root } from './workspace.js'

describe('the index of the documentation', () => {
  const listed = sectionsOf(read('docs/README.md')).flatMap(({ pages }) => pages.map(({ target }) => target))

  it('the index lists every page of docs once', () => {
    const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
      .map((file) => posix.join('docs', file.replaceAll('\\', '/')))
      .filter((file) => file.endsWith('.md') && file !== 'docs/README.md')
      .filter((file) => !file.startsWith('docs/adr/') || file === 'docs/adr/README.md')
    expect(pages.filter((page) => listed.filter((target) => target === page).length !== 1)).toEqual([])
    expect(pages.length).toBeGreaterThan(20)
  })

  it('the index has the title of each page', () => {
    const others = sectionsOf(read('docs/README.md'))
      .filter(({ title }) => ['Guides', 'Reference', 'Benchmarks'].includes(title))
      .flatMap(({ pages }) => pages)
      .filter(({ target }) => target.endsWith('.md'))
      .filter(({ title, target }) => !read(target).startsWith(`# ${title}`))
    expect(others.map(({ title, target }) => `${target} is not titled "${title}"`)).toEqual([])
  })

  it.each(['- [a](b.md) without a description', 'a sentence', '- [a](b.md): above the first heading'])(
    'a line that is no entry is an error: %s',
    (line) => expect(() => sectionsOf(`# Index\n\n${line}\n`)).toThrow('docs/README.md:3 is not')
  )
})

describe('llms.txt', () => {
  const text = read('llms.txt')

  it('llms.txt has the form of llmstxt.org: a title, a summary, and sections of links with a description', () => {
    const [title = '', summary = '', details = '', ...sections] = text.trimEnd().split('\n\n')
    expect(title).toBe('# Postern')
    expect(summary).toMatch(/^> [^\n]+\.$/)
    expect(details).toMatch(/^[^#>\n][^\n]+\.$/)
    const wrong = sections.flatMap((block) => block.split('\n')).filter((line) => !/^## |^- \[.+\]\(.+\): ./.test(line))
    expect(wrong).toEqual([])
  })

  it('llms.txt leads to files of the repository, with the README of every package and every guide among them', () => {
    const links = linksOf(text)
    expect(links.filter((link) => !existsSync(join(root, link)) || !statSync(join(root, link)).isFile())).toEqual([])
    expect(links).toEqual(expect.arrayContaining(packages.map(({ folder }) => `packages/${folder}/README.md`)))
    expect(links).toEqual(
      expect.arrayContaining(readdirSync(join(root, 'docs/guides')).map((file) => `docs/guides/${file}`))
    )
  })
})

describe('the links of a site', () => {
  function brokenIn(pages: Readonly<Record<string, string>>): readonly string[] {
    const folder = mkdtempSync(join(tmpdir(), 'postern-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    for (const [file, text] of Object.entries(pages)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    }
    return brokenLinks(folder).map(({ page, target }) => `${page} → ${target}`)
  }

  it('links to pages, elements, files and other hosts are not broken', () => {
    expect(
      brokenIn({
        'index.html':
          '<h1 id="top">a</h1><a class="b" href="c/d%20e.html#f&amp;g">c</a><a href="#top">a</a><a href="c/">d</a>',
        'c/d e.html': '<h2 id="f&amp;g">h</h2><img src="../i.png"><a href="https://absent.invalid/">j</a>',
        'c/index.html': '<a href="../index.html?q=1#top">k</a><pre>&lt;a href="absent.html"&gt;</pre>',
        'i.png': ''
      })
    ).toEqual([])
  })

  it.each([
    ['a page', '<a href="absent.html">a</a>', 'absent.html'],
    ['an element of another page', '<a href="other.html#absent">a</a>', 'other.html#absent'],
    ['an element of the page', '<a href="#absent">a</a>', '#absent'],
    ['a picture', '<img alt="b" src="media/absent.png">', 'media/absent.png'],
    ['a folder without a page', '<a href="empty/">a</a>', 'empty/'],
    ['a file outside the site', '<a href="../index.html">a</a>', '../index.html']
  ])('a link to %s that is not there is broken', (_, page, target) => {
    expect(brokenIn({ 'index.html': page, 'other.html': '<h1 id="b">b</h1>', 'empty/c.txt': '' })).toEqual([
      `index.html → ${target}`
    ])
  })
})
