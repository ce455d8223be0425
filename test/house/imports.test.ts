import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { modulesOf, packages, root } from './workspace.js'

/** Built-in modules that take longer to load than all others together. A server of `node:http` that a program has is loaded
 * already. The streams of files come with an import of `node:fs` as an ES module, and not with `nodeFs()`. */
const heavy = ['_http_client', 'http', 'https', 'http2', 'tls', 'internal/deps/undici/undici', 'internal/fs/streams']
/** Modules that take longer to load than a strategy, and that few calls need. */
const seldom = ['child_process', 'crypto', 'dns', 'net']
/** Servers, which need them at once. */
const serving = new Set(['witness/server/index', 'status/index'])
/** The package for programs that have a server of `node:net` already. */
const hasServer = new Set(['node'])
const plain = new Set([
  'interface',
  'net',
  'core',
  'manual',
  'pcp',
  'nat-pmp',
  'upnp',
  'stun',
  'ssh',
  'bore',
  'witness',
  'node'
])

describe.each(packages.filter(({ folder }) => plain.has(folder)))('$manifest.name', (each) => {
  it.each(modulesOf(each).filter((name) => !serving.has(`${each.folder}/${name}`)))(
    'the import of %s loads no module of Node that takes long',
    (name) => {
      const text = `await import('./packages/${each.folder}/dist/${name}.js')
        const loaded = JSON.stringify(process.moduleLoadList) // before the output itself loads modules
        process.stdout.write(loaded)`
      const loaded = JSON.parse(
        execFileSync(process.execPath, ['--input-type=module', '-e', text], { cwd: root, encoding: 'utf8' })
      ) as readonly string[]
      expect(loaded).toContain('NativeModule fs')
      const late = hasServer.has(each.folder) ? heavy : [...heavy, ...seldom]
      expect(late.filter((module) => loaded.includes(`NativeModule ${module}`))).toEqual([])
    }
  )
})
