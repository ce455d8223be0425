// How many tests passed: the file in which a package keeps the numbers of its last run, and the sum over all packages.
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

const isTest = ({ task }) => task === 'test' || task.startsWith('test:')

/** The file for a task of a package, below the package's folder. turbo.json names it as an output of that task. */
export const tallyFile = (folder, task) => path.join(folder, '.cache', 'tally', `${task.replace(':', '-')}.json`)

/** The line that every run of tests ends with. */
export function sentence({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/**
 * Adds up the tests of all tasks in a summary of turbo (`turbo run --summarize`), whether they ran now or came from the cache.
 * A task that failed without a failed test (a linter, a compiler, a test runner that did not start) counts as one failure.
 * Returns the lines to print.
 */
export function summarize(root, tasks) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  const ran = []
  const fromCache = []
  const broken = []
  let testsFromCache = 0
  for (const each of tasks.filter(({ command }) => command !== '<NONEXISTENT>')) {
    const isCached = each.cache.status === 'HIT'
    const failed = !isCached && each.execution?.exitCode !== 0
    if (failed) broken.push(each.taskId)
    const file = tallyFile(path.join(root, each.directory), each.task)
    const tally = isTest(each) && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
    for (const key of Object.keys(total)) total[key] += tally?.[key] ?? 0
    if (failed && (tally?.failed ?? 0) === 0) total.failed++
    if (tally === undefined) continue
    if (isCached) testsFromCache += tally.passed + tally.skipped
    ;(isCached ? fromCache : ran).push(nameOf(each))
  }
  return [
    ...(ran.length > 0 ? [`Tested now: ${ran.join(', ')}.`] : []),
    ...(fromCache.length > 0
      ? [`From the cache, unchanged since they passed: ${testsFromCache} tests of ${fromCache.join(', ')}.`]
      : []),
    ...(broken.length > 0 ? [`Failed: ${broken.join(', ')}. What depends on a build that failed has not run.`] : []),
    '',
    sentence(total)
  ]
}

const nameOf = ({ package: name, task }) => (task === 'test' ? name : `${name} (${task.slice('test:'.length)})`)
