// The examples and the template of the checkout, as a user copies them: with the published packages.
import fs from 'node:fs'
import path from 'node:path'
import { inLab } from './commands.mjs'
import { copyProject, install, run } from './projects.mjs'

const root = path.dirname(path.dirname(import.meta.dirname))

/** The folders of examples/. */
export const examples = fs
  .readdirSync(path.join(root, 'examples'))
  .filter((name) => fs.existsSync(path.join(root, 'examples', name, 'package.json')))

/** Installs an example, and runs it in a lab. */
export async function checkExample(world, name) {
  const folder = path.join(world.folder, `example-${name}`)
  copyProject(world, path.join('examples', name), folder)
  await install(world, folder)
  return inLab(world, name, folder)
}

/** Copies the template out of the checkout, as docs/guides/write-a-strategy.md says, and runs its tests. */
export async function checkTemplate(world) {
  const folder = path.join(world.folder, 'my-strategy')
  const { typescript, vitest } = world.third
  const dependencies = {
    typescript,
    vitest,
    '@types/node': world.third['@types/node'],
    'fast-check': world.third['fast-check']
  }
  copyProject(world, path.join('templates', 'strategy'), folder, { dependencies })
  const { compilerOptions } = readJson(path.join(folder, 'tsconfig.json'))
  const base = readJson(path.join(world.checkout, 'tsconfig.base.json'))
  writeJson(path.join(folder, 'tsconfig.json'), {
    compilerOptions: { ...base.compilerOptions, ...compilerOptions },
    include: ['src']
  })
  const forTests = { composite: false, noEmit: true, isolatedDeclarations: false, declarationMap: false, rootDir: '..' }
  writeJson(path.join(folder, 'test', 'tsconfig.json'), {
    extends: '../tsconfig.json',
    compilerOptions: forTests,
    include: ['**/*.ts']
  })
  await install(world, folder)
  const tsc = path.join('node_modules', 'typescript', 'bin', 'tsc')
  for (const project of ['.', 'test']) await run(world, folder, process.execPath, [tsc, '--project', project])
  const output = path.join(folder, 'tests.json')
  const vitestFile = path.join('node_modules', 'vitest', 'vitest.mjs')
  await run(world, folder, process.execPath, [
    vitestFile,
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${output}`
  ])
  const { numPassedTests } = readJson(output)
  if (!(numPassedTests > 40)) throw new Error(`${numPassedTests} tests passed`)
  return `compiles, and passes ${numPassedTests} tests`
}

const readJson = (file) => JSON.parse(fs.readFileSync(file, 'utf8'))
const writeJson = (file, value) => fs.writeFileSync(file, JSON.stringify(value))
