import { glob, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const cwd = fileURLToPath(new URL('../packages/', import.meta.url))

/** When a package was last built. A run during which that changes has measured two different things. */
export async function builtMs() {
  let latest = 0
  for await (const file of glob('*/dist/**/*.js', { cwd })) latest = Math.max(latest, (await stat(cwd + file)).mtimeMs)
  return latest
}
