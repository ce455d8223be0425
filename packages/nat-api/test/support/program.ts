import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Lab } from '@postern/lab'
import type { NatAPIOptions } from '../../src/index.js'

/** A client in a process of its own. */
export interface Program {
  /** Resolves with what the method resolves with. */
  call(method: string, ...args: readonly unknown[]): Promise<unknown>
  /** Closes its standard input. Resolves with the exit code, when the process has ended by itself. */
  ended(): Promise<number | null>
  kill(): Promise<void>
}

const file = fileURLToPath(new URL('client.mjs', import.meta.url))

/** Starts a client in a host of a lab, with a server on port 2000. */
export function startClient(lab: Lab, options: NatAPIOptions, state: string, host = 'home'): Program {
  const child = lab.spawn(host, [process.execPath, file, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { XDG_STATE_HOME: state }
  })
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error('the program has no pipes')
  const lines = createInterface({ input: stdout })
  const exited = once(child, 'exit')
  return {
    async call(...line) {
      const answered = once(lines, 'line')
      stdin.write(`${JSON.stringify(line)}\n`)
      const [text] = await answered
      const [value, message]: [unknown, string?] = JSON.parse(String(text))
      if (message !== undefined) throw new Error(message)
      return value
    },
    async ended() {
      stdin.end()
      const [code] = await exited
      return code
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    }
  }
}
