// The command `postern` as users get it: through npx, and installed.
import fs from 'node:fs'
import path from 'node:path'
import { createProject, run } from './projects.mjs'

/** Fails unless a command prints the version that was released. */
async function expectVersion(world, folder, command, args) {
  const wanted = world.versions.get('postern')
  const said = await run(world, folder, command, [...args, '--version'])
  if (said !== wanted) throw new Error(`${command} prints ${said}, and not ${wanted}`)
}

function emptyFolder(world, name) {
  const folder = path.join(world.folder, name)
  fs.mkdirSync(folder, { recursive: true })
  return folder
}

export async function checkNpx(world) {
  await expectVersion(world, emptyFolder(world, 'npx'), 'npx', ['--yes', 'postern'])
  return world.versions.get('postern')
}

/** npx has the package in its cache after checkNpx(). */
export const checkDoctor = (world) => inLab(world, 'doctor', emptyFolder(world, 'npx'))

/** Runs a scene of programs/in-lab.mjs. */
export const inLab = (world, scene, folder) =>
  run(world, path.join(world.folder, 'lab'), process.execPath, ['in-lab.mjs', scene, folder])

/** Installs the lab, from the registry as all others, and resolves with why none can run here; with an empty text if it can. */
export async function prepareLab(world) {
  await createProject(world, { name: 'lab', packages: ['lab', 'postern'], files: ['in-lab.mjs'] })
  return inLab(world, 'support', world.folder)
}

/** Both packages have the command. An optional dependency of ssh2 is compiled at installation: not here, three times more. */
export async function checkBothCommands({ env, ...rest }) {
  const world = { ...rest, env: { ...env, NPM_CONFIG_IGNORE_SCRIPTS: 'true', YARN_IGNORE_SCRIPTS: 'true' } }
  const packages = ['postern', 'cli']
  for (const manager of ['npm', 'pnpm', 'yarn']) {
    const folder = await createProject(world, { name: `both-${manager}`, manager, packages })
    await expectVersion(world, folder, path.join('node_modules', '.bin', 'postern'), [])
  }
  const prefix = emptyFolder(world, 'global')
  const global = ['install', '--global', '--prefix', prefix, '--no-audit', '--no-fund', '--loglevel=error']
  await run(world, prefix, 'npm', [...global, 'postern'])
  await expectVersion(world, prefix, path.join(prefix, 'bin', 'postern'), [])
  // The README of postern says so.
  const refused = await run(world, prefix, 'sh', ['-c', 'npm "$@" 2>&1', 'npm', ...global, '@postern/cli'], {
    codes: [1, 239]
  })
  if (!refused.includes('EEXIST')) throw new Error(refused)
  await expectVersion(world, prefix, path.join(prefix, 'bin', 'postern'), [])
  return 'npm, pnpm and yarn take both in a project; npm install --global takes the first one'
}
