import { glob, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const cwd = fileURLToPath(new URL('../packages/', import.meta.url))

/** Returns when a package was last built. If that changes during a run, the run has measured two different builds. */
export async function builtMs() {
  let latest = 0
  for await (const file of glob('*/dist/**/*.js', { cwd })) latest = Math.max(latest, (await stat(cwd + file)).mtimeMs)
  return latest
}
