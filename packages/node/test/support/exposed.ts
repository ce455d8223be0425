import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { MappingEvent, Report } from '@postern/core'
import type { Lab } from '@postern/lab'

const program = join(import.meta.dirname, 'exposed.mjs')

/** What `exposed.mjs` prints. */
type Line =
  | MappingEvent
  | { readonly event: 'settled' | 'closed' }
  | { readonly event: 'report'; readonly report: Report; readonly addresses: readonly string[] }

/** A server at home that is exposed. */
export interface Exposed {
  /** `mapped nat-pmp 11.0.0.2:5001`, in order. */
  readonly told: () => readonly string[]
  /** Resolves when a line matches that was printed after the earlier matches. */
  until(text: string): Promise<void>
  report(): Promise<Extract<Line, { event: 'report' }>>
  /** Releases the mappings, and resolves when the program has ended. */
  close(): Promise<void>
  /** Ends the program like a power cut. */
  kill(): Promise<void>
}

/** Starts a server at home, and resolves when `expose` has. */
export async function exposeAtHome(
  lab: Lab,
  ladder: string,
  {
    protocol = 'tcp',
    port = 5001,
    folder,
    env = {}
  }: { protocol?: 'tcp' | 'udp'; port?: number; folder?: string; env?: NodeJS.ProcessEnv } = {}
): Promise<Exposed> {
  const command = [process.execPath, program, protocol, ladder, String(port), ...(folder === undefined ? [] : [folder])]
  const child = lab.spawn('home', command, { stdio: ['pipe', 'pipe', 'inherit'], env })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const lines: Line[] = []
  const texts: string[] = []
  let seen = 0
  let wake = (): void => undefined
  if (child.stdout === null || child.stdin === null) throw new Error('the program has no pipes')
  const input = child.stdin
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Line
    lines.push(line)
    texts.push(describe(line))
    wake()
  })
  async function until(text: string): Promise<void> {
    for (;;) {
      const index = texts.indexOf(text, seen)
      if (index >= 0) {
        seen = index + 1
        return
      }
      await Promise.race([
        new Promise<void>((resolve) => (wake = resolve)),
        ended.then(() => {
          throw new Error(`the program has ended, and did not tell "${text}": ${texts.join('; ')}`)
        })
      ])
    }
  }
  await until('settled')
  seen = 0
  return {
    told: () => texts.filter((text) => text !== 'settled' && text !== 'report'),
    until,
    async report() {
      const count = lines.length
      input.write('report\n')
      for (;;) {
        const line = lines.slice(count).find((each) => each.event === 'report')
        if (line?.event === 'report') return line
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
    async close() {
      input.write('close\n')
      await ended
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    }
  }
}

const describe = (line: Line): string =>
  'external' in line ? `${line.event} ${line.strategy} ${line.external?.address}:${line.external?.port}` : line.event

/** Connects from the internet, and resolves with the address that the server sees; undefined if nothing answers. */
export async function fromInternet(
  lab: Lab,
  port: number,
  protocol: 'tcp' | 'udp' = 'tcp'
): Promise<string | undefined> {
  const tcp = `require('node:net').connect(${port}, '11.0.0.2').on('error', () => process.exit())`
  const udp = `require('node:dgram').createSocket('udp4').on('message', (bytes) => { process.stdout.write(bytes); process.exit() })`
  const text =
    protocol === 'tcp'
      ? `${tcp}.on('data', (bytes) => process.stdout.write(bytes)).on('end', () => process.exit()); setTimeout(process.exit, 1500)`
      : `const socket = ${udp}; socket.send('hello', ${port}, '11.0.0.2'); setTimeout(process.exit, 1500)`
  const { stdout } = await lab.run('internet', [process.execPath, '-e', text], { timeoutMs: 5000 })
  return stdout === '' ? undefined : stdout.replace(/:\d+$/, '')
}
