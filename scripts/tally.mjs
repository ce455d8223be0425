// Vitest reporter: closes a run with the line "N passed, N failed[, N skipped]".
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
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : ''
    console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`)
  }
}
