import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'

/** Files of that name are made by npm and by hand: a few kilobytes. */
const maxManifestChars = 1024 * 1024

/**
 * Returns a name for the program that runs in this process, the same in each run: the name in the nearest `package.json` with
 * that of the main script; without a package, the name of the script with a hash of its path. So two programs that are both
 * `index.mjs` have two names.
 */
export function programName(script: string | undefined = process.argv[1]): string {
  const base = scriptName(script)
  const place = script ?? join(process.cwd(), 'node')
  const name = packageName(dirname(place))
  if (name !== undefined) return `${name}-${base}`
  return `${base}-${createHash('sha256').update(place).digest('hex').slice(0, 8)}`
}

/** Returns the name of the main script alone, which default files had before. */
export const scriptName = (script: string = process.argv[1] ?? 'node'): string =>
  basename(script, extname(script)) || 'node'

/** Read at once, as Node has read the script from the same folder. A manifest without a name belongs to the one above. */
function packageName(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const name = nameIn(join(at, 'package.json'))
    if (name !== undefined) return name
    if (dirname(at) === at) return undefined
  }
}

function nameIn(path: string): string | undefined {
  try {
    const file = statSync(path)
    // A pipe of that name would hold up the program.
    if (!file.isFile() || file.size > maxManifestChars) return undefined
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof manifest !== 'object' || manifest === null || !('name' in manifest)) return undefined
    const { name } = manifest
    if (typeof name !== 'string') return undefined
    return name.replaceAll(/[^\w.-]+/g, '-').replaceAll(/^[-.]+/g, '') || undefined
  } catch {
    // There is none, or it cannot be read: the folder above may have one.
    return undefined
  }
}
