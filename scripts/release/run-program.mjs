// Runs the programs of the rehearsal, each as a group of processes, so that an interruption ends all that they have started.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

const windows = process.platform === 'win32'

/** The time limit for one program, in ms: to publish all packages takes a minute or two. */
const limitMs = 600_000

/** The programs that run. One list for the process, since a signal to the process ends them all. */
const running = new Set()
let isEnding = false

/**
 * Starts a program.
 *
 * @param {string} cwd
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, stdio?: import('node:child_process').StdioOptions }} options
 * @returns {{ child: import('node:child_process').ChildProcess, ended: Promise<unknown>, kill(): void }} `ended` resolves with the
 * code and the signal, and rejects where the program cannot be started
 */
export function start(cwd, command, args, { env = process.env, stdio = 'pipe' } = {}) {
  if (isEnding) throw new Error('interrupted')
  const child = spawn(command, args, {
    cwd,
    stdio,
    // Programs of npm packages take the first Node there.
    env: { ...env, PATH: [path.dirname(process.execPath), env.PATH].join(path.delimiter) },
    // A shell finds npm.cmd. It would take the path of Node, which has a space, for two words.
    shell: windows && command !== process.execPath,
    detached: !windows
  })
  const kill = () => {
    try {
      if (windows || child.pid === undefined) child.kill()
      else process.kill(-child.pid, 'SIGKILL')
    } catch (error) {
      // It has ended by itself.
      if (error.code !== 'ESRCH') throw error
    }
  }
  const ended = once(child, 'close')
  const program = { child, ended, kill }
  running.add(program)
  const remove = () => running.delete(program)
  ended.then(remove, remove)
  return program
}

/**
 * Runs a program, and resolves with its standard output. Rejects with an Error with all that it wrote if it fails, or does not end.
 *
 * @param {string} cwd
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, codes?: readonly number[] }} options `codes` are the exit codes of success
 */
export async function must(cwd, command, args, { env, codes = [0] } = {}) {
  const { child, ended, kill } = start(cwd, command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (said[name] += text))
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    kill()
  }, limitMs)
  try {
    const [code, signal] = await ended
    if (codes.includes(code)) return said.stdout
    const how = isLate ? `does not end within ${limitMs / 1000} s` : `ends with ${signal ?? `code ${code}`}`
    throw new Error(`${command} ${args.join(' ')} ${how}\n${said.stdout}${said.stderr}`)
  } finally {
    clearTimeout(timer)
  }
}

/** Ends all programs, and lets no other start. Resolves when they are gone. */
export async function endPrograms() {
  isEnding = true
  await Promise.all(
    [...running].map(({ ended, kill }) => {
      kill()
      return ended.catch(() => undefined)
    })
  )
}
