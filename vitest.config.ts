import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import tally from './scripts/tally.mjs'

// Vitest keeps a token there, and `postern` what Node has compiled: in the clone, not in the home folder.
process.env.XDG_DATA_HOME = join(import.meta.dirname, 'node_modules', '.cache')
process.env.XDG_CACHE_HOME = join(import.meta.dirname, '.cache')

// Programs that are tested tell each other there which ports they have mapped.
process.env.XDG_STATE_HOME = mkdtempSync(join(tmpdir(), 'postern-state-'))

export default defineConfig({
  test: {
    projects: ['packages/*', 'templates/*', 'test', 'interop'],
    reporters: ['default', tally]
  }
})
