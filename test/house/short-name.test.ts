import { expect, it } from 'vitest'
import { read, readJson, shortName } from './workspace.js'

const folder = `packages/${shortName}`
const manifest = readJson(`${folder}/package.json`) as Readonly<Record<string, unknown>>

it('the package without a scope can be published, and is nothing but a program', () => {
  expect(manifest).toMatchObject({
    name: shortName,
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    description: expect.stringMatching(/^.{20,}[^.]$/),
    license: 'Apache-2.0 OR MIT',
    type: 'module',
    bin: { [shortName]: 'bin/postern.js' },
    files: ['bin', 'CHANGELOG.md', 'LICENSE-*'],
    publishConfig: { access: 'public' },
    scripts: { lint: 'oxlint --type-aware --deny-warnings', test: `vitest run --root ../.. --project ${shortName}` }
  })
  for (const field of ['private', 'exports', 'repository', 'scripts.postinstall'])
    expect(manifest).not.toHaveProperty(field)
  expect(read(`${folder}/bin/postern.js`)).toMatch(/^#!\/usr\/bin\/env node\n/)
  for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) expect(read(`${folder}/${licence}`)).toBe(read(licence))
})

it('the package without a scope has a README with its name, how to install it, when not to use it, and the licence', () => {
  const text = read(`${folder}/README.md`)
  expect(text).toMatch(/^# postern\n/)
  expect(text).toMatch(/^npm install --global postern$/m)
  expect(text).toMatch(/When not/)
  expect(text.trimEnd()).toMatch(/Apache-2\.0 OR MIT$/)
})
