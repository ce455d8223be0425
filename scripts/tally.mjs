// Vitest reporter: closes a run with the line "N passed, N failed[, N skipped]". Under turbo it also writes the numbers into
// the package that is tested: turbo keeps the file with the result, and scripts/test.mjs adds up those of all packages.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { sentence, tallyFile } from './tallies.mjs'

const count = { passed: 0, failed: 0, skipped: 0 }

export default {
  onTestRunEnd(modules, unhandledErrors) {
    count.failed += unhandledErrors.length
    for (const module of modules) {
      if (module.errors().length > 0) count.failed++
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        count[state in count ? state : 'failed']++
      }
    }
    const { TURBO_HASH: hash, npm_lifecycle_event: task } = process.env
    if (hash && task) {
      const file = tallyFile(process.cwd(), task)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, `${JSON.stringify(count)}\n`)
    }
    console.log(`\n${sentence(count)}`)
  }
}
