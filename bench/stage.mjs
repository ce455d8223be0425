import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openLab } from '@postern/lab'

/**
 * A contender that is timed: a job (a program in `jobs/` that times itself) or a command (a whole process).
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {string} [job] - its file in `jobs/`
 * @property {readonly string[]} [args] - of the job; `{router}` stands for the router's address
 * @property {number} [calls] - how many times the job calls in one process. @default 1
 * @property {(port: number) => readonly string[]} [command]
 * @property {boolean} [fails] - whether the command should end with another exit code than 0
 * @property {'mapped' | 'unmapped'} [expect] - what the kernel of the router must show afterwards
 * @property {number} [ports] - how many ports one call maps. @default 1
 * @property {number} [pauseMs] - how long the router rests before a turn. @default 0
 *
 * @typedef {{ times: readonly number[] } | { failure: string }} Sample
 */

const jobs = fileURLToPath(new URL('jobs/', import.meta.url))
/** The limit of one call. */
const capMs = 10_000
const firstPort = 20_000

/** A lab in which contenders take turns. */
export class Stage {
  #lab
  #signal
  #router
  #stopwatch
  #folder
  #port = firstPort

  /** @param {AbortSignal} signal */
  static async open(topology, signal) {
    const stage = new Stage()
    stage.#lab = await openLab(topology, { signal })
    try {
      stage.#signal = signal
      stage.#router = stage.#lab.address('router', 'lan')
      stage.#folder = await mkdtemp(join(tmpdir(), 'postern-bench-'))
      stage.#stopwatch = stage.#talkTo('stopwatch.mjs', [])
    } catch (error) {
      await stage.close()
      throw error
    }
    return stage
  }

  /** Puts the home this far from the router, in ms one way. */
  delay(delayMs) {
    return this.#lab.delay('home', delayMs)
  }

  /** Runs one turn of one contender. @param {Contender} contender @returns {Promise<Sample>} */
  async sample(contender, timeoutMs = capMs) {
    this.#signal.throwIfAborted()
    const { calls = 1, ports = 1, pauseMs = 0 } = contender
    await sleep(pauseMs, undefined, { signal: this.#signal })
    const port = this.#port
    this.#port += calls * ports
    return contender.job === undefined
      ? this.#sampleCommand(contender, port, timeoutMs)
      : this.#sampleJob(contender, port, timeoutMs)
  }

  async #sampleJob({ job, args = [], calls = 1, expect, ports = 1 }, port, timeoutMs) {
    const filled = args.map((each) => each.replace('{router}', this.#router))
    const talk = this.#talkTo(`${job}.mjs`, [...filled, String(port), String(calls)])
    const times = []
    try {
      for (let call = 0; call < calls; call++) {
        const told = await talk.hear(timeoutMs)
        if (told === undefined) return { failure: `> ${timeoutMs / 1000} s` }
        if (told.failure !== undefined) return { failure: told.failure }
        const complaint = await this.#check(expect, told.port, ports)
        if (complaint !== undefined) return { failure: complaint }
        times.push(told.ms)
        talk.say('')
      }
      return { times }
    } finally {
      await talk.end()
    }
  }

  async #sampleCommand({ command, fails = false, expect }, port, timeoutMs) {
    const env = { XDG_STATE_HOME: this.#folder, XDG_CACHE_HOME: this.#folder, NO_COLOR: '1' }
    this.#stopwatch.say(JSON.stringify({ command: command(port), env, timeoutMs }))
    const told = await this.#stopwatch.hear(timeoutMs + 5000)
    if (told === undefined) throw new Error('the stopwatch does not answer')
    if (told.failure !== undefined) return { failure: told.failure }
    if (told.timedOut) return { failure: `> ${timeoutMs / 1000} s` }
    if ((told.code === 0) === fails) return { failure: `exit code ${told.code}` }
    const complaint = await this.#check(expect, port, 1)
    return complaint === undefined ? { times: [told.ms] } : { failure: complaint }
  }

  /** Returns how the kernel of the router contradicts the contender; undefined if it does not. */
  async #check(expect, port, ports) {
    if (expect === undefined) return undefined
    const rules = await this.#lab.rules()
    const own = rules.filter(({ internalPort }) => internalPort >= port && internalPort < port + ports)
    if (expect === 'mapped') return own.length === ports ? undefined : 'says it mapped; no rule in the router'
    return own.length === 0 ? undefined : `leaves ${own.length} of ${ports} rules in the router`
  }

  /** Starts a job in the home, and reads its output line by line. */
  #talkTo(file, args) {
    const child = this.#lab.spawn('home', [process.execPath, join(jobs, file), ...args], {
      stdio: ['pipe', 'pipe', 'pipe']
    })
    const exited = once(child, 'close').catch(() => {})
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    let complaint = ''
    child.stdin.on('error', () => {})
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      complaint = (complaint + chunk).slice(-1000)
    })
    return {
      say: (line) => child.stdin.write(`${line}\n`),
      /** Resolves with the next line; with undefined if there is none in time. */
      hear: async (timeoutMs) => {
        const over = new AbortController()
        const signal = AbortSignal.any([over.signal, this.#signal])
        try {
          const next = lines.next()
          const line = await Promise.race([next, sleep(timeoutMs, undefined, { signal })])
          if (line === undefined) return undefined
          if (line.done) return { failure: `ends without an answer: ${complaint.trim().split('\n').at(-1)}` }
          return JSON.parse(line.value)
        } finally {
          over.abort()
        }
      },
      /** Waits a while for it to end by itself. */
      end: async () => {
        child.stdin.end()
        const over = new AbortController()
        const patience = sleep(3000, undefined, over).catch(() => {})
        await Promise.race([exited, patience])
        over.abort()
        child.kill('SIGKILL')
        await exited
      }
    }
  }

  async close() {
    await this.#lab.close()
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true })
  }
}
