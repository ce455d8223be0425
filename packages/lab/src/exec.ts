import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

/** The exit and the output of a program. */
export interface Output {
  /** The exit code; null if a signal ended the program. */
  readonly code: number | null
  /** The signal that ended the program, or null. */
  readonly signal: NodeJS.Signals | null
  /** The standard output. */
  readonly stdout: string
  /** The standard error output. */
  readonly stderr: string
}

/** Runs a program of this machine to its end. Rejects only if it cannot be started or `signal` aborts. */
export async function exec(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly signal?: AbortSignal | undefined } = {}
): Promise<Output> {
  return collect(spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] }))
}

/** Waits for a child with piped output. Rejects with its `error` event. */
export async function collect(child: ChildProcess): Promise<Output> {
  const texts = Promise.all([text(child.stdout), text(child.stderr)])
  const end = await ended(child)
  const [stdout, stderr] = await texts
  return { ...end, stdout, stderr }
}

/** Waits for a child to end and its pipes to close. Rejects with its `error` event. */
export function ended(child: ChildProcess): Promise<Pick<Output, 'code' | 'signal'>> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
}

function text(stream: Readable | null): Promise<string> {
  return new Promise((resolve) => {
    let all = ''
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      all += chunk
    })
    if (stream === null) resolve('')
    else stream.once('close', () => resolve(all))
  })
}
