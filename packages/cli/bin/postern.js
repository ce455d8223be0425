#!/usr/bin/env node
import module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

try {
  // Not the shared temporary folder, where another user of this machine could put code that we would run.
  module.enableCompileCache?.(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'postern'))
} catch {
  // It starts slower.
}

const { run } = await import('../dist/index.js')
await run(process.argv.slice(2))
