import { existsSync, readFileSync } from 'node:fs'

/** Returns the version of this package. */
export function version(): string {
  // This module lies in a folder of src, and in dist itself.
  const [file] = ['../package.json', '../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .filter(existsSync)
  const manifest: unknown = file === undefined ? null : JSON.parse(readFileSync(file, 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : ''
}
