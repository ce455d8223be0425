import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Lab, openLab, type Sshd, type SshdOptions, startSshd, type TopologyName, withPeers } from '@postern/lab'
import { onTestFinished } from 'vitest'

export type Answer = Record<string, unknown> & {
  readonly failed?: { readonly code: string; readonly message: string }
}

/** The strategy in a process on the host `home`. */
export interface Home {
  /** Sends a command of `support/home.mjs`, and resolves with its result. */
  ask(command: string, options?: object): Promise<Answer>
  /** Resolves with the next event of this kind, which may have happened before. */
  event(kind: string): Promise<Answer>
  kill(signal: NodeJS.Signals): void
}

/** A lab with an SSH server on the public host `alpha`. */
export interface Place {
  readonly lab: Lab
  readonly sshd: Sshd
  readonly folder: string
  /** Starts a strategy at home, with these options of `ssh()` in place of the good ones. */
  home(options?: object, env?: NodeJS.ProcessEnv): Promise<Home>
  /** Runs a task of `support/outside.mjs` on the host `outsider`, with the server as the target. */
  outside(task: string, port: number, more?: number): Promise<Answer>
  /** Starts such a task, and resolves with its first line, and with what it says at its end. */
  starts(task: string, port: number): Promise<{ readonly first: Answer; last(): Promise<Answer> }>
}

const support = (name: string): string => join(import.meta.dirname, 'support', name)

const parse = (line: string): Answer => JSON.parse(line) as Answer

/** Opens a lab. Everything in it ends with the test. */
export async function openPlace(name: TopologyName, options: Partial<SshdOptions> = {}): Promise<Place> {
  const lab = await openLab(withPeers(name))
  const folder = mkdtempSync(join(tmpdir(), 'postern-sshd-'))
  onTestFinished(async () => {
    await lab.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const sshd = await startSshd(lab, 'alpha', { folder, ...options })
  const target = (task: string, port: number, more = 0): readonly string[] => [
    process.execPath,
    support('outside.mjs'),
    task,
    sshd.address,
    String(port),
    String(more)
  ]

  return {
    lab,
    sshd,
    folder,
    async home(wish = {}, env = {}) {
      const { address: host, port, user: username, keyFile, knownHosts } = sshd
      const text = JSON.stringify({ host, port, username, keyFile, knownHosts, ...wish })
      const child = lab.spawn('home', [process.execPath, '--expose-gc', support('home.mjs'), text], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env
      })
      const waiting = new Map<unknown, (answer: Answer) => void>()
      const events: Answer[] = []
      let listener = (): void => undefined
      if (child.stdout === null) throw new Error('no output')
      createInterface({ input: child.stdout }).on('line', (line) => {
        const answer = parse(line)
        if (answer['call'] === undefined) {
          events.push(answer)
          listener()
        } else waiting.get(answer['call'])?.(answer)
      })
      let calls = 0
      const home: Home = {
        ask(command, rest = {}) {
          calls += 1
          const call = calls
          child.stdin?.write(`${JSON.stringify({ call, command, ...rest })}\n`)
          return new Promise((resolve) => waiting.set(call, ({ call: _call, ...answer }) => resolve(answer)))
        },
        event: (kind) =>
          new Promise((resolve) => {
            listener = () => {
              const at = events.findIndex((each) => each['event'] === kind)
              if (at !== -1) resolve(events.splice(at, 1)[0] ?? {})
            }
            listener()
          }),
        kill: (signal) => void child.kill(signal)
      }
      await home.event('ready')
      return home
    },
    async outside(task, port, more) {
      const { stdout, stderr } = await lab.run('outsider', target(task, port, more), { timeoutMs: 60_000 })
      if (stdout.trim() === '') throw new Error(`nothing was said: ${stderr}`)
      return parse(stdout)
    },
    async starts(task, port) {
      const child = lab.spawn('outsider', target(task, port), { stdio: ['ignore', 'pipe', 'inherit'] })
      if (child.stdout === null) throw new Error('no output')
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const next = async (): Promise<Answer> => parse((await lines.next()).value as string)
      const first = await next()
      return { first, last: next }
    }
  }
}
