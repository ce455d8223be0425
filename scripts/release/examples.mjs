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

/** Copies the template out of the checkout, where its tsconfig.json extends one of the root, and runs its tests. */
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
  const tsconfig = path.join(folder, 'tsconfig.json')
  const { compilerOptions } = JSON.parse(fs.readFileSync(tsconfig, 'utf8'))
  const base = JSON.parse(fs.readFileSync(path.join(world.checkout, 'tsconfig.base.json'), 'utf8'))
  fs.writeFileSync(
    tsconfig,
    JSON.stringify({
      compilerOptions: { ...base.compilerOptions, ...compilerOptions, types: ['node'] },
      include: ['src']
    })
  )
  await install(world, folder)
  await run(world, folder, process.execPath, [path.join('node_modules', 'typescript', 'bin', 'tsc'), '--project', '.'])
  const vitestFile = path.join('node_modules', 'vitest', 'vitest.mjs')
  const said = await run(world, folder, process.execPath, [vitestFile, 'run', '--reporter=json'])
  const { numPassedTests } = JSON.parse(said.slice(said.indexOf('{')))
  if (!(numPassedTests > 40)) throw new Error(`${numPassedTests} tests passed`)
  return `compiles, and passes ${numPassedTests} tests`
}
