import { existsSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { modulesOf, type Package, packages, read, readJson, root, shortName, sourcesOf } from './workspace.js'

const strategies = ['manual', 'pcp', 'nat-pmp', 'upnp', 'stun', 'witness']
const forwarders = ['ssh', 'bore']

/** The packages that each package may depend on. A new package has to be added here. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  interface: [],
  net: ['interface'],
  ...Object.fromEntries([...strategies, ...forwarders].map((name) => [name, ['interface', 'net']])),
  core: ['interface'],
  runtime: ['interface', 'net', 'core'],
  'libp2p-utils': ['interface', 'net'],
  autonat: ['interface', 'net', 'libp2p-utils'],
  relay: ['interface', 'net', 'libp2p-utils'],
  'hole-punch': ['interface', 'libp2p-utils'],
  libp2p: ['interface', 'core', 'runtime', 'libp2p-utils', ...strategies, 'autonat', 'relay', 'hole-punch'],
  node: ['interface', 'core', 'net', 'runtime', ...strategies, ...forwarders],
  status: ['interface', 'core', 'net'],
  'nat-api': ['interface', 'core', 'net', 'runtime', 'node', 'pcp', 'nat-pmp', 'upnp'],
  cli: [
    'interface',
    'core',
    'net',
    'runtime',
    'libp2p-utils',
    'status',
    'node',
    'libp2p',
    ...strategies,
    ...forwarders,
    'autonat',
    'relay',
    'hole-punch'
  ],
  testkit: ['interface', 'net'],
  conformance: ['interface', 'net', 'testkit'],
  lab: ['interface']
}

/** What a package declares for another one, which imports it: ssh2 is an optional peer of `ssh`. */
const declaredForOthers: Readonly<Record<string, readonly string[]>> = { node: ['ssh2'], cli: ['ssh2'] }

/** The files that may have a default export. `nat-api` replaces packages whose only export is one. */
const defaultExports: Readonly<Record<string, readonly string[]>> = { 'nat-api': ['packages/nat-api/src/index.ts'] }

/** Modules that are imported for their side effects: a bundler leaves them out unless the manifest names them. */
function importedForEffects(each: Package): false | readonly string[] {
  const files = sourcesOf(each).flatMap((file) =>
    [...read(file).matchAll(/^import '(\.[^']+)'/gm)].map(([, specifier = '']) =>
      posix.join('./dist', posix.dirname(file).replace(/^.*\/src\/?/, ''), specifier)
    )
  )
  return files.length === 0 ? false : files.map((file) => `./${file}`)
}

/** Returns the package name: `net` for `@postern/net` and `@postern/net/x`; undefined for everything else. */
const ownName = (specifier: string): string | undefined => /^@postern\/([^/]+)/.exec(specifier)?.[1]

const dependenciesOf = ({ manifest }: Package): readonly string[] => [
  ...Object.keys(manifest.dependencies ?? {}),
  ...Object.keys(manifest.peerDependencies ?? {}),
  ...Object.keys(manifest.optionalDependencies ?? {})
]

const importsOf = (each: Package): readonly (readonly [file: string, specifier: string])[] =>
  sourcesOf(each).flatMap((file) =>
    ts.preProcessFile(read(file)).importedFiles.map(({ fileName }) => [file, fileName] as const)
  )

/** Returns the package of an import: `prom-client` for `prom-client/lib`. */
const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

const isBare = (specifier: string): boolean => !specifier.startsWith('.') && !specifier.startsWith('node:')

it('the list of dependencies names every package', () => {
  expect(packages.map(({ folder }) => folder).toSorted()).toEqual(Object.keys(arrows).toSorted())
})

describe.each(packages)('$manifest.name', (each) => {
  const { folder, manifest } = each
  const allowed = arrows[folder] ?? []

  it('the package depends only on the packages that the list allows', () => {
    const own = dependenciesOf(each).flatMap((name) => ownName(name) ?? [])
    expect(own.filter((name) => !allowed.includes(name))).toEqual([])
  })

  it('the package imports only from the packages that the list allows', () => {
    const wrong = importsOf(each).filter(([, specifier]) => {
      const name = ownName(specifier)
      return name !== undefined && !allowed.includes(name)
    })
    expect(wrong).toEqual([])
  })

  it('the package declares what it imports, and imports what it declares', () => {
    const imported = new Set(
      importsOf(each).flatMap(([, specifier]) => (isBare(specifier) ? [packageOf(specifier)] : []))
    )
    const declared = dependenciesOf(each).filter((name) => !(declaredForOthers[folder] ?? []).includes(name))
    expect([...imported].toSorted()).toEqual(declared.toSorted())
  })

  it('the package imports built-in modules by their node: names, and its own files by theirs', () => {
    const wrong = importsOf(each).filter(
      ([, specifier]) =>
        builtinModules.includes(specifier) ||
        (specifier.startsWith('.') && !/^(?:\.|\.\.(?:\/\.\.)*)\/[^.].*\.js$/.test(specifier))
    )
    expect(wrong).toEqual([])
  })

  it('the package names each export and leaves no TODO', () => {
    const wrong = sourcesOf(each).filter((file) =>
      /export \*|export default|as default\b|TODO|FIXME|XXX/.test(read(file))
    )
    expect(wrong).toEqual(defaultExports[folder] ?? [])
  })

  it('its manifest has the fields of a package that can be published', () => {
    expect(manifest).toMatchObject({
      name: `@postern/${folder}`,
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      description: expect.stringMatching(/^.{20,}[^.]$/),
      license: 'Apache-2.0 OR MIT',
      type: 'module',
      sideEffects: importedForEffects(each),
      engines: { node: expect.stringContaining('22') },
      publishConfig: { access: 'public' }
    })
    expect(manifest['exports']).toEqual(
      Object.fromEntries(
        modulesOf(each).map((name) => [
          name === 'index' ? '.' : `./${posix.dirname(name)}`,
          { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` }
        ])
      )
    )
    const { keywords } = manifest
    expect(keywords).toEqual(expect.arrayContaining(['nat', 'nat-traversal']))
    expect(Array.isArray(keywords) ? keywords.filter((word) => !/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(word)) : []).toEqual(
      []
    )
    expect(new Set(Array.isArray(keywords) ? keywords : []).size).toBeGreaterThan(4)
    expect(manifest).not.toHaveProperty('private')
    expect(manifest).not.toHaveProperty('scripts.install')
    expect(manifest).not.toHaveProperty('scripts.postinstall')
  })

  it('the package packs what was built, its source, its programs, and the licences', () => {
    const bin = manifest['bin'] === undefined ? [] : ['bin']
    expect(manifest['files']).toEqual([...bin, 'dist', 'src', 'CHANGELOG.md', 'LICENSE-*', '!dist/.tsbuildinfo'])
    for (const program of Object.values(manifest['bin'] ?? {})) {
      expect(read(join('packages', folder, String(program)))).toMatch(/^#!\/usr\/bin\/env node\n/)
    }
    // The licences are copies: packed files have to lie in the folder, and links are left out.
    for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) {
      expect(read(join('packages', folder, licence))).toBe(read(licence))
    }
  })

  it('the package takes the other packages from the workspace, and pins everything else', () => {
    const wrong = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(([name, range]) =>
      ownName(name) === undefined ? !/^\d+\.\d+\.\d+$/.test(range) : range !== 'workspace:^'
    )
    expect(wrong).toEqual([])
  })

  it('its manifest names its origin in the same words as the others', () => {
    const { repository, homepage, bugs } = manifest
    const directory = repository === undefined ? {} : { repository: { directory: `packages/${folder}` } }
    expect(manifest).toMatchObject(directory)
    const first = packages[0]?.manifest ?? manifest
    const url = (value: unknown): unknown => JSON.stringify(value)?.replaceAll(/packages\/[\w-]+/g, 'packages/…')
    expect([repository, homepage, bugs].map(url)).toEqual(
      [first['repository'], first['homepage'], first['bugs']].map(url)
    )
  })

  it('the package has a README, is built with the others, and is in the index of the documentation', () => {
    expect(existsSync(join(root, 'packages', folder, 'README.md'))).toBe(true)
    expect(readJson('tsconfig.json')).toMatchObject({
      references: expect.arrayContaining([{ path: `packages/${folder}` }])
    })
    for (const name of modulesOf(each))
      expect(read(`packages/${folder}/src/${name}.ts`)).toMatch(/^\/\*\*[^]*@packageDocumentation/)
  })
})

it('every package that was never released has a changeset', () => {
  const { baseBranch, access, fixed, linked, changelog } = readJson('.changeset/config.json') as Record<string, unknown>
  expect({ baseBranch, access, fixed, linked }).toEqual({
    baseBranch: 'main',
    access: 'public',
    fixed: [['@postern/cli', shortName]],
    linked: []
  })
  expect(changelog).toBe('./changelog.mjs')
  const unreleased = packages.filter(({ manifest }) => manifest['version'] === '0.0.0')
  expect(read('README.md').includes('There is no release yet')).toBe(unreleased.length === packages.length)
  if (unreleased.length > 0) {
    const [, header = ''] = read('.changeset/first-release.md').split('---\n')
    const named = header.split('\n').flatMap((line) => /^'(.+)': minor$/.exec(line)?.[1] ?? [])
    expect(named.toSorted()).toEqual([...unreleased.map(({ manifest }) => manifest.name), shortName].toSorted())
  }
})

it('the repository has both licences in full', () => {
  expect(read('LICENSE-MIT')).toContain('The Postern contributors')
  expect(read('LICENSE-APACHE')).toContain('Version 2.0, January 2004')
})
