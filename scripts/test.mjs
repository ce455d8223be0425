// npm test: every check of every package, in one run of turbo, which takes from its cache what has not changed; in CI it takes
// nothing from there. Arguments are turbo's: `npm test -- --filter=@postern/pcp`, `npm test -- --force`.
// The last line counts the tests of all packages.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { summarize } from './tallies.mjs'

const root = path.dirname(import.meta.dirname)
const runs = path.join(root, '.turbo', 'runs')
const tasks = ['format', 'unused', 'lint:rest', 'build', 'typecheck', 'lint', 'check', 'site', 'test:house', 'test']

// A tally that is there at the end was written by this run, or restored by turbo from its cache.
const folders = ['test', 'interop', ...foldersIn('packages'), ...foldersIn('templates')]
for (const folder of folders) rmSync(path.join(root, folder, '.cache', 'tally'), { recursive: true, force: true })
rmSync(runs, { recursive: true, force: true })

const options = ['--continue=dependencies-successful', '--summarize', ...(process.env.CI ? ['--force'] : [])]
const turbo = spawn('turbo', ['run', ...tasks, ...options, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  shell: process.platform === 'win32'
})
let interrupted = false
process.on('SIGINT', () => {
  interrupted = true // the terminal sends it to turbo too, which ends its tasks
})
for (const signal of ['SIGHUP', 'SIGTERM']) {
  process.on(signal, () => {
    interrupted = true
    turbo.kill(signal)
  })
}
turbo.on('error', (error) => {
  console.error(error.message)
  process.exitCode = 127
})
turbo.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal]
  const [summary] = existsSync(runs) ? readdirSync(runs) : []
  if (interrupted || summary === undefined) return
  const { tasks: done } = JSON.parse(readFileSync(path.join(runs, summary), 'utf8'))
  console.log(`\n${summarize(root, done).join('\n')}`)
})

function foldersIn(parent) {
  const folder = path.join(root, parent)
  return existsSync(folder) ? readdirSync(folder).map((name) => path.join(parent, name)) : []
}
