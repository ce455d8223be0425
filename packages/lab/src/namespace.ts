import type { ChildProcess, ChildProcessWithoutNullStreams, SpawnOptions } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { LabError } from './errors.js'
import type { Output } from './exec.js'
import { collect } from './exec.js'
import type { Tools } from './tools.js'

/**
 * A set of namespaces of its own (user, pid, mount, network) that lives as long as this object's standard input pipe.
 *
 * Its first process reads that pipe to the end and exits, and the kernel then kills everything in the pid namespace:
 * this holds even where the runner is killed by SIGKILL and can clean up nothing.
 */
export class Namespace {
  readonly #supervisor: ChildProcessWithoutNullStreams
  readonly #tools: Tools
  readonly #children = new Set<ChildProcess>()
  readonly #exited: Promise<unknown>
  #pid = 0

  /** Starts it and runs `script` (POSIX sh) in it as root of the namespaces. Resolves when the script is through. */
  static async open(script: string, tools: Tools, signal?: AbortSignal): Promise<Namespace> {
    signal?.throwIfAborted()
    const namespace = new Namespace(script, tools)
    const abort = (): void => void namespace.close()
    signal?.addEventListener('abort', abort)
    try {
      await namespace.#ready()
      signal?.throwIfAborted()
    } catch (error) {
      await namespace.close()
      signal?.throwIfAborted()
      throw error
    } finally {
      signal?.removeEventListener('abort', abort)
    }
    return namespace
  }

  private constructor(script: string, tools: Tools) {
    this.#tools = tools
    // The process's own pid as seen from outside, while /proc is still the outer one.
    const whole = `set -e\nread -r pid rest < /proc/self/stat\n${script}\necho "ready $pid"\nexec cat > /dev/null\n`
    // Detached: a Ctrl-C in the terminal is for the commands in the lab, not for the lab.
    this.#supervisor = spawn('unshare', ['-Urnm', '--pid', '--fork', 'sh', '-c', whole], {
      stdio: 'pipe',
      detached: true,
      cwd: '/',
      env: this.environment()
    })
    this.#supervisor.stdin.on('error', () => {})
    // Where it could not be started, #ready says so; here it only matters that it is gone.
    this.#exited = once(this.#supervisor, 'close').catch(() => {})
    // A lab that nobody closed must not keep the runner alive; without it the lab dies by itself.
    letGo(this.#supervisor)
  }

  async #ready(): Promise<void> {
    const supervisor = this.#supervisor
    holdOn(supervisor)
    let complaint = ''
    supervisor.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      complaint = (complaint + chunk).slice(-4000)
    })
    const failed = once(supervisor, 'close').catch((error: Error) => {
      complaint = error.message
    })
    const lines = createInterface({ input: supervisor.stdout })
    const ready = new Promise<true>((resolve) => {
      lines.on('line', (line) => {
        const [, pid] = /^ready (\d+)$/.exec(line) ?? []
        if (pid === undefined) return
        this.#pid = Number(pid)
        resolve(true)
      })
    })
    const opened = await Promise.race([ready, failed])
    letGo(supervisor)
    if (opened === true) return
    // unshare itself complains, or is not there: nothing of the script has run.
    const code = /^(unshare:|spawn )/.test(complaint) ? 'LAB_UNSUPPORTED' : 'LAB_SETUP'
    throw new LabError(code, `The namespaces of the lab did not come up: ${complaint.trim()}`)
  }

  /** Of its first process, as seen from outside. */
  get pid(): number {
    return this.#pid
  }

  environment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    return environmentOf(this.#tools, extra)
  }

  /**
   * Starts a command in the network namespace `host`, or in the one that holds the cables where it is undefined.
   * `kill` of what it returns reaches the command itself; if the process outside is killed, the command dies with it.
   */
  spawn(host: string | undefined, command: readonly string[], options: SpawnOptions = {}): ChildProcess {
    if (this.#pid === 0 || this.#supervisor.stdin.writableEnded || this.#supervisor.exitCode !== null) {
      throw new LabError('LAB_CLOSED', 'The lab is closed: open another.')
    }
    const child = spawnInside(this.#pid, host, command, { ...options, env: this.environment(options.env) })
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
    child.once('error', () => this.#children.delete(child))
    return child
  }

  /** Runs a shell script to its end. Rejects with a LabError `LAB_COMMAND` where it fails. */
  async script(host: string | undefined, script: string): Promise<string> {
    const output = await this.#collect(host, ['sh', '-ec', script])
    if (output.code !== 0) {
      const where = host ?? 'the lab'
      throw new LabError(
        'LAB_COMMAND',
        `A step in ${where} failed (${output.code ?? output.signal}): ${output.stderr.trim()}`
      )
    }
    return output.stdout
  }

  #collect(host: string | undefined, command: readonly string[]): Promise<Output> {
    return collect(this.spawn(host, command, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' }))
  }

  /** Ends everything inside and resolves when it is gone. May be called twice. */
  async close(): Promise<void> {
    holdOn(this.#supervisor)
    this.#supervisor.stdin.end()
    await this.#exited
    const gone = [...this.#children].map((child) => {
      holdOn(child)
      // Whoever started it hears of what it failed with.
      return once(child, 'close').catch(() => {})
    })
    await Promise.all(gone)
  }
}

/** The environment of commands inside: this process's, with the lab's tools in front. */
export function environmentOf(tools: Tools, extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const env = { ...process.env, ...extra }
  const join = (...parts: (string | undefined)[]): string => parts.filter((part) => part).join(':')
  return {
    ...env,
    PATH: join(tools.bin, env['PATH'], systemPath),
    LD_LIBRARY_PATH: join(tools.lib, env['LD_LIBRARY_PATH'])
  }
}

/** Starts a command in the namespaces of a process, in the network namespace `host` of them, or in their first one. */
export function spawnInside(
  pid: number,
  host: string | undefined,
  command: readonly string[],
  options: SpawnOptions
): ChildProcess {
  // nsenter stays outside of the pid namespace and becomes a shell, whose child is inside.
  const args = ['-F', '-t', String(pid), '-U', '--preserve-credentials', '-m', '-n', '-p', '--']
  // Entering the mount namespace forgets the working directory.
  const cwd = path.resolve(options.cwd === undefined ? process.cwd() : String(options.cwd))
  args.push('sh', '-c', attend, 'lab', cwd)
  if (host !== undefined) args.push('ip', 'netns', 'exec', host)
  args.push('setpriv', '--pdeathsig', 'KILL', '--')
  const child = spawn('nsenter', [...args, ...command], { ...options, cwd: '/' })
  reachInside(child)
  return child
}

/** The lab dies with what opened it; neither it nor a program of its own may keep that alive. */
export function letGo(child: ChildProcess): void {
  child.unref()
  for (const stream of child.stdio) if (stream instanceof Socket) stream.unref()
}

/** While something is awaited of it, also that it ends: that is known only when its pipes have closed. */
export function holdOn(child: ChildProcess): void {
  child.ref()
  for (const stream of child.stdio) if (stream instanceof Socket) stream.ref()
}

// Last, for callers whose PATH lacks sbin.
const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Waits outside for a command inside and ends as it did, by code or by signal. It lets a Ctrl-C in the terminal pass it
 * by (a trap, unlike ignoring, is not inherited), and says nothing itself. It must outlive the command where it can: the
 * pid namespace does not end before the last of its processes was collected, and this is the parent.
 */
const attend = `trap : INT QUIT
exec 9>&2 2> /dev/null
cd "$1" 2>&9 || exit 126
shift
( exec "$@" 2>&9 9>&- )
code=$?
trap - INT QUIT
[ $code -le 128 ] || kill -$((code - 128)) $$
exit $code`

/** Makes `kill` signal the command in the namespace instead of the program that waits for it. */
function reachInside(child: ChildProcess): void {
  const outer = child.kill.bind(child)
  const deliver = (signal: NodeJS.Signals | number, tries: number): boolean => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return false
    const inner = commandPid(child.pid)
    if (inner === undefined && tries > 0) {
      // It is not there yet, and the program outside takes no SIGINT.
      setTimeout(() => deliver(signal, tries - 1), 2)
      return true
    }
    if (inner === undefined) return outer(signal)
    try {
      return process.kill(inner, signal)
    } catch {
      return false // gone in the meantime
    }
  }
  child.kill = (signal = 'SIGTERM') => {
    if (signal === 0) return outer(signal)
    const delivered = deliver(signal, 500)
    if (delivered) Object.assign(child, { killed: true })
    return delivered
  }
}

/** The child of the program outside, once there is one that has become the command: as a shell that was just forked it
 * still has that one's traps, and a signal could be lost on it. */
function commandPid(pid: number): number | undefined {
  try {
    const first = Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'), 10)
    if (Number.isNaN(first) || readFileSync(`/proc/${first}/cmdline`, 'utf8').includes(attend)) return undefined
    return first
  } catch {
    return undefined
  }
}
