import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import tally from './scripts/tally.mjs'

// Vitest keeps a token there: in the clone, not in the home folder.
process.env.XDG_DATA_HOME = join(import.meta.dirname, 'node_modules', '.cache')

export default defineConfig({
  test: {
    projects: ['packages/*', 'test', 'interop'],
    reporters: ['default', tally]
  }
})
