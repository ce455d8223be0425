import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { LabError, preparePrometheus } from '@postern/lab'

/** The programs of Prometheus, or why there are none. */
export const tools = await preparePrometheus().then(
  (programs) => ({ ok: true, ...programs }) as const,
  (error: unknown) => {
    if (!(error instanceof LabError)) throw error
    return { ok: false, reason: error.message } as const
  }
)
/** The reason for skipping, for titles. */
export const why: string = tools.ok ? '' : ` (skipped: ${tools.reason})`

/** A series of an answer, with its labels. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

/** A running server of Prometheus. */
export interface Server extends AsyncDisposable {
  /** Resolves with the `data` of an answer of the API. Rejects with its error. */
  ask(path: string, parameters?: Readonly<Record<string, string>>): Promise<unknown>
  /** Resolves with the series of an instant query. Rejects if Prometheus refuses it. */
  query(text: string): Promise<readonly Series[]>
}

/**
 * Starts Prometheus on a port of loopback that the kernel chooses, with its data in `folder`. Resolves when it listens.
 *
 * @param config - the path of its configuration
 */
export async function startPrometheus(program: string, config: string, folder: string): Promise<Server> {
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--web.listen-address=127.0.0.1:0',
    '--log.format=json'
  ]
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  const address = await new Promise<string>((resolve, reject) => {
    const said: string[] = []
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line)
      const entry = JSON.parse(line) as { readonly msg?: string; readonly address?: string }
      if (entry.msg === 'Listening on') resolve(entry.address ?? '')
    })
    child.once('error', reject)
    void exited.then(() => reject(new Error(`Prometheus has ended:\n${said.join('\n')}`)))
  })
  const ask: Server['ask'] = async (path, parameters = {}) => {
    const reply = await fetch(`http://${address}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`)
    const body = (await reply.json()) as { readonly status: string; readonly data?: unknown; readonly error?: string }
    if (body.status !== 'success') throw new Error(`${body.error}: ${JSON.stringify(parameters)}`)
    return body.data
  }
  return {
    ask,
    query: async (query) => ((await ask('query', { query })) as { readonly result: readonly Series[] }).result,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    }
  }
}

/** Asks again until the answer is one that is wanted. Rejects after `seconds` with the last answer. */
export async function until<T>(read: () => Promise<T>, isWanted: (answer: T) => boolean, seconds: number): Promise<T> {
  const end = performance.now() + seconds * 1000
  for (;;) {
    const answer = await read()
    if (isWanted(answer)) return answer
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${JSON.stringify(answer)}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
