import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Lab } from '@postern/lab'

/** A running example. */
export interface Program extends AsyncDisposable {
  readonly said: readonly string[]
  /** Resolves with the first line that matches, printed before or after the call. Rejects after 20 s with the
   * output. */
  until(pattern: RegExp): Promise<string>
  tell(line: string): void
  /** Ends the program, and resolves with its exit code. */
  end(): Promise<number | null>
}

const waitMs = 20_000

/** Starts `examples/<file>` in a host of the lab. */
export function startExample(lab: Lab, host: string, file: string, args: readonly string[] = []): Program {
  const path = join(import.meta.dirname, '..', '..', 'examples', file)
  const child: ChildProcess = lab.spawn(host, [process.execPath, path, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error('no pipes')
  const exited = once(child, 'exit')
  const said: string[] = []
  const waiting = new Set<() => void>()
  createInterface({ input: stdout }).on('line', (line) => {
    said.push(line)
    for (const look of waiting) look()
  })
  stdin.on('error', () => undefined)
  return {
    said,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const line = said.find((each) => pattern.test(each))
          if (line === undefined) return
          clearTimeout(timer)
          waiting.delete(look)
          resolve(line)
        }
        const timer = setTimeout(() => {
          waiting.delete(look)
          reject(new Error(`${host} did not say ${pattern}; it said:\n${said.join('\n')}`))
        }, waitMs)
        waiting.add(look)
        look()
      }),
    tell: (line) => void stdin.write(`${line}\n`),
    async end() {
      child.kill('SIGTERM')
      await exited
      return child.exitCode
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    }
  }
}
