import { basename, dirname, extname, join } from 'node:path'
import { nodeCrypto, nodeFs } from '@postern/net'

/** The maximum size of a `package.json`; real ones have a few kilobytes. */
const maxManifestChars = 1024 * 1024

/**
 * Returns a name for the program in this process, which is the same in each run: the name in the nearest `package.json`
 * and the name of the main script; without a package, the name of the script and a hash of its path. So two programs
 * called `index.mjs` have different names.
 */
export function programName(script: string | undefined = process.argv[1]): string {
  const base = scriptName(script)
  const place = script ?? join(process.cwd(), 'node')
  const name = packageName(dirname(place))
  if (name !== undefined) return `${name}-${base}`
  return `${base}-${nodeCrypto().createHash('sha256').update(place).digest('hex').slice(0, 8)}`
}

/** Returns the name of the main script. Earlier versions used it for the default file. */
export const scriptName = (script: string = process.argv[1] ?? 'node'): string =>
  basename(script, extname(script)) || 'node'

/** Returns the name of the nearest package. Skips manifests without a name. Reads synchronously, like Node.js reads the
 * script from the same folder. */
function packageName(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const name = nameIn(join(at, 'package.json'))
    if (name !== undefined) return name
    if (dirname(at) === at) return undefined
  }
}

function nameIn(path: string): string | undefined {
  try {
    const { readFileSync, statSync } = nodeFs()
    const file = statSync(path)
    // Reading a pipe with that name would block the program.
    if (!file.isFile() || file.size > maxManifestChars) return undefined
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof manifest !== 'object' || manifest === null || !('name' in manifest)) return undefined
    const { name } = manifest
    if (typeof name !== 'string') return undefined
    return name.replaceAll(/[^\w.-]+/g, '-').replaceAll(/^[-.]+/g, '') || undefined
  } catch {
    // There is no readable manifest here; a parent folder may have one.
    return undefined
  }
}
