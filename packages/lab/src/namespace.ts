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
 * The namespaces of a lab (user, pid, mount and network). They live as long as the standard input pipe of their first
 * process.
 *
 * That process reads the pipe to its end and exits, and the kernel then kills everything in the pid namespace. This
 * works even if the program that opened the lab is killed by SIGKILL and cannot clean up.
 */
export class Namespace {
  readonly #supervisor: ChildProcessWithoutNullStreams
  readonly #tools: Tools
  readonly #children = new Set<ChildProcess>()
  readonly #exited: Promise<unknown>
  #pid = 0

  /**
   * Creates the namespaces and runs `script` (POSIX sh) in them as root. Resolves when the script has ended. Rejects
   * with a LabError `LAB_UNSUPPORTED` or `LAB_SETUP`.
   */
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
    // Reads the process id as seen from outside, while /proc is still that of the host.
    const whole = `set -e\nread -r pid rest < /proc/self/stat\n${script}\necho "ready $pid"\nexec cat > /dev/null\n`
    // Detached, so that Ctrl-C in the terminal reaches the commands in the lab but not the lab itself.
    this.#supervisor = spawn('unshare', ['-Urnm', '--pid', '--fork', 'sh', '-c', whole], {
      stdio: 'pipe',
      detached: true,
      cwd: '/',
      env: this.environment()
    })
    this.#supervisor.stdin.on('error', () => {})
    // #ready reports a failed start; here only the end matters.
    this.#exited = once(this.#supervisor, 'close').catch(() => {})
    // An unclosed lab must not keep this process alive. The lab ends with this process.
    unrefChild(this.#supervisor)
  }

  async #ready(): Promise<void> {
    const supervisor = this.#supervisor
    refChild(supervisor)
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
    unrefChild(supervisor)
    if (opened === true) return
    // unshare itself failed or is missing, so the script has not started.
    const code = /^(unshare:|spawn )/.test(complaint) ? 'LAB_UNSUPPORTED' : 'LAB_SETUP'
    throw new LabError(code, `The namespaces of the lab could not be created: ${complaint.trim()}`)
  }

  /** The process id of the first process, as seen from outside. */
  get pid(): number {
    return this.#pid
  }

  /** Returns the environment of commands in the lab. */
  environment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    return environmentOf(this.#tools, extra)
  }

  /**
   * Starts a command in the network namespace `host`, or in that of the cables if `host` is undefined. `kill` of the
   * returned process reaches the command itself; if the process outside is killed, the command dies too. Throws a
   * LabError `LAB_CLOSED` if the lab is closed.
   */
  spawn(host: string | undefined, command: readonly string[], options: SpawnOptions = {}): ChildProcess {
    if (this.#pid === 0 || this.#supervisor.stdin.writableEnded || this.#supervisor.exitCode !== null) {
      throw new LabError('LAB_CLOSED', 'The lab is closed: open another one.')
    }
    const child = spawnInside(this.#pid, host, command, { ...options, env: this.environment(options.env) })
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
    child.once('error', () => this.#children.delete(child))
    return child
  }

  /** Runs a shell script and resolves with its output. Rejects with a LabError `LAB_COMMAND` if it fails. */
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

  /** Ends all processes inside and resolves when they have ended. Idempotent. */
  async close(): Promise<void> {
    refChild(this.#supervisor)
    this.#supervisor.stdin.end()
    await this.#exited
    const gone = [...this.#children].map((child) => {
      refChild(child)
      // The caller that started the command handles its errors.
      return once(child, 'close').catch(() => {})
    })
    await Promise.all(gone)
  }
}

/** Returns the environment of this process with the tools of the lab first in the paths. */
export function environmentOf(tools: Tools, extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const env = { ...process.env, ...extra }
  const join = (...parts: (string | undefined)[]): string => parts.filter((part) => part).join(':')
  return {
    ...env,
    PATH: join(tools.bin, env['PATH'], systemPath, tools.more),
    LD_LIBRARY_PATH: join(tools.lib, env['LD_LIBRARY_PATH'])
  }
}

/** Starts a command in the namespaces of a process: in the network namespace `host`, or in the first one. */
export function spawnInside(
  pid: number,
  host: string | undefined,
  command: readonly string[],
  options: SpawnOptions
): ChildProcess {
  // nsenter stays outside the pid namespace and becomes a shell with a child inside.
  const args = ['-F', '-t', String(pid), '-U', '--preserve-credentials', '-m', '-n', '-p', '--']
  // The working directory is lost when nsenter enters the mount namespace.
  const cwd = path.resolve(options.cwd === undefined ? process.cwd() : String(options.cwd))
  args.push('sh', '-c', attend, 'lab', cwd)
  if (host !== undefined) args.push('ip', 'netns', 'exec', host)
  args.push('setpriv', '--pdeathsig', 'KILL', '--')
  const child = spawn('nsenter', [...args, ...command], { ...options, cwd: '/' })
  reachInside(child)
  return child
}

/** Lets this process end while the child runs. The lab ends with this process anyway. */
export function unrefChild(child: ChildProcess): void {
  child.unref()
  for (const stream of child.stdio) if (stream instanceof Socket) stream.unref()
}

/**
 * Keeps this process alive while it waits for the child, including its end, which is known only when its pipes close.
 */
export function refChild(child: ChildProcess): void {
  child.ref()
  for (const stream of child.stdio) if (stream instanceof Socket) stream.ref()
}

// Appended to the PATH, for callers without sbin.
const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * The shell script that waits outside for a command inside and ends with the same code or signal. It ignores a Ctrl-C
 * in the terminal with a trap, since an ignored signal would be inherited, and prints nothing. It should outlive the
 * command: it is the parent, and the pid namespace ends only when its last process was collected.
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

/** Makes `kill` send signals to the command in the namespace instead of the program that waits for it. */
function reachInside(child: ChildProcess): void {
  const outer = child.kill.bind(child)
  const deliver = (signal: NodeJS.Signals | number, tries: number): boolean => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return false
    const inner = commandPid(child.pid)
    if (inner === undefined && tries > 0) {
      // The command has not started yet, and the program outside ignores SIGINT.
      setTimeout(() => deliver(signal, tries - 1), 2)
      return true
    }
    if (inner === undefined) return outer(signal)
    try {
      return process.kill(inner, signal)
    } catch {
      return false // the command has ended meanwhile
    }
  }
  child.kill = (signal = 'SIGTERM') => {
    if (signal === 0) return outer(signal)
    const delivered = deliver(signal, 500)
    if (delivered) Object.assign(child, { killed: true })
    return delivered
  }
}

/** Returns the process id of the command, the child of the program outside; undefined until it has replaced the forked
 * shell. That shell still has the traps of its parent, so a signal could be lost. */
function commandPid(pid: number): number | undefined {
  try {
    const first = Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'), 10)
    if (Number.isNaN(first) || readFileSync(`/proc/${first}/cmdline`, 'utf8').includes(attend)) return undefined
    return first
  } catch {
    return undefined
  }
}
