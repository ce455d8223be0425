import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { MappingEvent, Report } from '@postern/core'
import { canRunLab, type Lab, openLab, type Topology, type TopologyName } from '@postern/lab'
import { afterAll } from 'vitest'

export const support: Awaited<ReturnType<typeof canRunLab>> = await canRunLab()
/** The reason for skipping, for titles. */
export const why: string = support.ok ? '' : ` (skipped: ${support.reason})`

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const postern = file('../../bin/postern.js')
const program = file('program.mjs')
const cleanups: (() => Promise<void>)[] = []

// Tests run in parallel, so everything stays open until all have ended.
afterAll(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** Opens a lab, which is closed after the tests. */
export async function enter(name: TopologyName | Topology): Promise<Lab> {
  const lab = await openLab(name)
  cleanups.push(() => lab.close())
  return lab
}

/** Creates a folder, which is removed after the tests. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'postern-'))
  cleanups.push(() => rm(path, { recursive: true, force: true }))
  return path
}

export type Told = (MappingEvent | { readonly event: OtherEvent }) & {
  readonly owners?: MappingEvent['owners']
  readonly report?: Report
  readonly addresses?: readonly string[]
  readonly direct?: boolean
  readonly state?: string
  readonly address?: string | null
}

type OtherEvent =
  | 'first-pass'
  | 'report'
  | 'stopped'
  | 'listening'
  | 'witness'
  | 'metrics'
  | 'status'
  | 'ready'
  | 'addresses'
  | 'verdict'
  | 'dialled'
  | 'not-dialled'
  | 'not-connected'
  | 'connected'
  | 'upgraded'
  | 'upgrade'
  | 'not-direct'
  | 'lost'
  | 'refused'
  | 'failed'
  | 'pong'
  | 'no-answer'
  | 'summary'

/** A running command with its output, one JSON object in each line. */
export interface Running {
  readonly child: ChildProcess
  readonly told: readonly Told[]
  /** Resolves to the next object that was not awaited yet. Rejects if the command ends first, or after 15 s. */
  next(event: Told['event']): Promise<Told>
  tell(command: string): void
  readonly ended: Promise<number | null>
}

export function follow(child: ChildProcess): Running {
  const told: Told[] = []
  let seen = 0
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const each of waiting) each()
  }
  if (child.stdout === null) throw new Error('nothing to follow')
  createInterface({ input: child.stdout }).on('line', (line) => {
    told.push(JSON.parse(line) as Told)
    wake()
  })
  let errors = ''
  child.stderr?.on('data', (data: Buffer) => {
    errors += data.toString()
  })
  let over = false
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      over = true
      resolve(code)
      wake()
    })
  })
  return {
    child,
    told,
    ended,
    tell: (line) => void child.stdin?.write(`${line}\n`),
    next(event) {
      return new Promise((resolve, reject) => {
        const stop = (): void => {
          waiting.delete(look)
          clearTimeout(limit)
        }
        const look = (): void => {
          const index = told.findIndex((each, at) => at >= seen && each.event === event)
          const found = told[index]
          if (found === undefined && !over) return
          stop()
          seen = index + 1
          if (found === undefined) reject(new Error(`ended without "${event}": ${JSON.stringify(told)} ${errors}`))
          else resolve(found)
        }
        const limit = setTimeout(() => {
          stop()
          reject(new Error(`no "${event}" within 15 s: ${JSON.stringify(told)} ${errors}`))
        }, 15_000)
        waiting.add(look)
        look()
      })
    }
  }
}

export interface ProgramOptions {
  readonly via: string
  readonly port: number
  readonly protocol?: 'tcp' | 'udp'
  readonly family?: 4 | 6
  readonly statePath?: string
  readonly externalPort?: number
}

/** Starts the test program in a host. */
export const start = (lab: Lab, options: ProgramOptions, host = 'home'): Running =>
  follow(lab.spawn(host, [process.execPath, program, JSON.stringify(options)], { stdio: 'pipe' }))

/** Starts `postern` in a host, with its own state folder. */
export function command(lab: Lab, args: readonly string[], state: string, host = 'home'): Running {
  const env = { XDG_STATE_HOME: state, NO_COLOR: '1' }
  return follow(lab.spawn(host, [process.execPath, postern, ...args], { stdio: 'pipe', env }))
}

/** Runs `postern` in a host until it ends. */
export async function posternIn(
  lab: Lab,
  args: readonly string[],
  host = 'home',
  state?: string
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = { XDG_STATE_HOME: state ?? (await folder()), NO_COLOR: '1' }
  return lab.run(host, [process.execPath, postern, ...args], { env, timeoutMs: 20_000 })
}

const fetchText = `fetch(process.argv[1]).then((r) => r.text()).then(console.log, (e) => console.log(e.cause.code))`

/** Fetches a URL in a host. Resolves to the text, or to the code of an error. */
export async function fetchedIn(lab: Lab, host: string, url: string): Promise<string> {
  return (await lab.run(host, [process.execPath, '-e', fetchText, url])).stdout
}

export async function doctorReport(
  lab: Lab,
  ...args: readonly string[]
): Promise<Report & { readonly exit: number | null }> {
  const { code, stdout, stderr } = await posternIn(lab, ['doctor', '--json', ...args])
  if (stdout === '') throw new Error(`the doctor said nothing: ${stderr}`)
  return { ...(JSON.parse(stdout) as Report), exit: code }
}

const tcpServer = `require('node:net').createServer((s) => s.end('hello from ' + process.argv[1])).listen({ port: +process.argv[2], host: '::' }, () => console.log('ready'))`
const udpServer = `const s = require('node:dgram').createSocket({ type: 'udp6' }); s.on('message', (_, from) => s.send('hello from ' + process.argv[1], from.port, from.address)); s.bind(+process.argv[2], () => console.log('ready'))`

/** Starts a server in a host that answers with the name of the host. */
export async function serve(lab: Lab, host: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Promise<void> {
  const child = lab.spawn(
    host,
    [process.execPath, '-e', protocol === 'tcp' ? tcpServer : udpServer, host, String(port)],
    { stdio: 'pipe' }
  )
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('close', () => reject(new Error('the server did not start')))
  })
}

const tcpVisit = `
  const say = (text) => { console.log(text); process.exit() }
  const [, host, port] = process.argv
  require('node:net').connect({ host, port: +port, timeout: 3000 })
    .on('data', (data) => say(String(data))).on('timeout', () => say('timeout'))
    .on('error', (error) => say(error.code)).on('end', () => say('closed'))`
const udpVisit = `
  const [, host, port] = process.argv
  const socket = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (data) => { console.log(String(data)); process.exit() })
  socket.send('hello', +port, host)
  setTimeout(() => { console.log('timeout'); process.exit() }, 3000)`

/** Connects from a host on the internet to an address. Resolves to the answer of the server, `timeout`, or the code of
 * an error. */
export async function visit(
  lab: Lab,
  address: string,
  port: number,
  protocol: 'tcp' | 'udp' = 'tcp',
  host = 'internet'
): Promise<string> {
  const { stdout } = await lab.run(host, [
    process.execPath,
    '-e',
    protocol === 'tcp' ? tcpVisit : udpVisit,
    address,
    String(port)
  ])
  return stdout.trim()
}

/** Returns the mapping of an event; fails with the event if there is none. */
export function externalOf(event: Told): { readonly address: string; readonly port: number } {
  if ('external' in event && event.external !== null) return event.external
  throw new Error(`no mapping in ${JSON.stringify(event)}`)
}
