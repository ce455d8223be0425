import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import semver from 'semver'
import { describe, expect, it } from 'vitest'
import { packages, read, root } from './workspace.js'

interface Installed {
  readonly name: string
  readonly version: string
  readonly engines?: { readonly node?: string }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

/** Returns the folder in which Node finds a package; undefined if it is not installed, as for another platform. */
function folderOf(name: string, from: string): string | undefined {
  const folder = join(from, 'node_modules', name)
  if (existsSync(join(folder, 'package.json'))) return realpathSync(folder)
  return dirname(from) === from ? undefined : folderOf(name, dirname(from))
}

/**
 * Adds the package of a folder, and all packages that are installed with it for its users. Package managers do not install
 * optional peers: the users that need them do.
 */
function collect(folder: string, found: Map<string, Installed>): ReadonlyMap<string, Installed> {
  if (found.has(folder)) return found
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Installed
  found.set(folder, manifest)
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = manifest
  for (const name of Object.keys({ ...peerDependencies, ...dependencies, ...optionalDependencies })) {
    if (peerDependenciesMeta[name]?.optional === true) continue
    const place = folderOf(name, folder)
    const isOptional = name in optionalDependencies
    if (place !== undefined) collect(place, found)
    else if (!isOptional) throw new Error(`${manifest.name} needs ${name}, which is not installed`)
  }
  return found
}

/** Current versions of Node.js, and older and newer ones that users may run. */
const majors = Array.from({ length: 12 }, (_, index) => 20 + index)

const rangeOf = ({ engines }: Partial<Installed>): string => engines?.node ?? '*'

describe.each(packages)('$manifest.name', ({ folder, manifest }) => {
  const own = rangeOf(manifest)
  const all = [...collect(realpathSync(join(root, 'packages', folder)), new Map()).values()]

  // Yarn 1 refuses to install a package if a dependency does not support the version of Node.js.
  it('its manifest promises no version of Node.js that one of its dependencies refuses', () => {
    const narrower = all.filter((each) => !semver.subset(own, rangeOf(each)))
    expect(narrower.map((each) => `${each.name}@${each.version}: ${rangeOf(each)}`)).toEqual([])
  })

  it('its manifest refuses no version of Node.js, from 22 on, that all of its dependencies support', () => {
    const others = all.filter(({ name }) => !name.startsWith('@postern/'))
    const refused = majors.filter(
      (major) =>
        major >= 22 &&
        !semver.satisfies(`${major}.0.0`, own) &&
        others.every((each) => semver.satisfies(`${major}.0.0`, rangeOf(each)))
    )
    expect(refused).toEqual([])
  })

  it('its manifest refuses versions before Node.js 22, and its README names further requirements', () => {
    expect(semver.minVersion(own)?.version).toBe('22.0.0')
    const odd = majors.filter((major) => major > 22 && !semver.satisfies(`${major}.0.0`, own))
    const readme = read(`packages/${folder}/README.md`)
    for (const major of odd) expect(readme).toMatch(new RegExp(`Node\\.js [^]{0,160}\\b${major}\\b`))
  })
})

it('the README, and the message for an older Node.js, have the requirements of the manifests', () => {
  expect(read('README.md')).toContain('The packages need Node 22 or later')
  expect(read('packages/cli/bin/postern.js')).toMatch(/major < 22\b[^]*needs Node\.js 22 or later/)
  expect(read('packages/node/src/node-version.ts')).toMatch(/< 22\b[^]*needs Node\.js 22 or later/)
  expect(read('packages/lab/bin/postern-lab.js')).toMatch(/< 22\b[^]*needs Node\.js 22 or later/)
})
