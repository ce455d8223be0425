// Runs a step, and shows its output only if it fails: node scripts/quiet.mjs <what> <command> [argument…]
import { spawnSync } from 'node:child_process'

const [what, command, ...args] = process.argv.slice(2)
const startedMs = performance.now()
const { error, status, stdout, stderr } = spawnSync(command, args, {
  encoding: 'utf8',
  maxBuffer: 2 ** 28,
  shell: process.platform === 'win32'
})
if (error) throw error
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
console.log(`${status === 0 ? '✔' : '✘'} ${what} (${seconds} s)`)
if (status !== 0) process.stdout.write(`${stdout}${stderr}`)
process.exitCode = status ?? 1
