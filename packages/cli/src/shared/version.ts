import type * as Fs from 'node:fs'
import { createRequire } from 'node:module'

/** `node:fs` as an ES module takes longer to load: see `nodeFs()` of `@postern/net`. That package is not imported, because the help needs nothing else of it. */
const load: (name: 'node:fs') => typeof Fs = createRequire(import.meta.url)

/** Returns the version of this package. */
export function version(): string {
  const { existsSync, readFileSync } = load('node:fs')
  // This module lies in a folder of src, and in dist itself.
  const [file] = ['../package.json', '../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .filter(existsSync)
  const manifest: unknown = file === undefined ? null : JSON.parse(readFileSync(file, 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : ''
}
