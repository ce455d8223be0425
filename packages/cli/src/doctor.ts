import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import {
  createTraversal,
  type MappingEvent,
  type NatReport,
  type Report,
  systemHost,
  type Traversal
} from '@postern/core'
import { familyOf, isGlobal, type Network, parseMultiaddr, type Strategy } from '@postern/interface'
import { doubtBeyondFirstHop, findNetwork } from '@postern/net'
import { codeOf } from './exit-codes.js'
import { line, type Output, untilInterrupted } from './output.js'
import { type Colors, colorsFor, formatStrategies, formatStrategy } from './terminal.js'

export interface DoctorOptions {
  readonly strategies: readonly Strategy[]
  readonly json: boolean
  /** Only discover: map nothing. */
  readonly dryRun: boolean
}

/** Nothing is worth waiting longer for, in ms. */
const patienceMs = 10_000
/** Renewals keep a distance of 4 s (RFC 6887 §11.2.1), and a try may take 2 s. */
const readBackMs = 6500
const hairpinMs = 1500

/** What a trial mapping has shown beyond the report. */
interface Trial {
  readonly readBack: 'same' | 'other' | 'lost' | undefined
  readonly hairpin: NatReport['hairpin']
}

/** Finds out how reachable this host is. Resolves to the exit code. */
export async function doctor(options: DoctorOptions, { out, err }: Output): Promise<number> {
  const { strategies, json, dryRun } = options
  const interrupt = untilInterrupted()
  const { signal } = interrupt
  const progress = colorsFor(err)
  const traversal = createTraversal({ strategies, doubt: doubtBeyondFirstHop(systemHost.clock) })
  if (!json) {
    line(err, progress.dim(dryRun ? 'Looking, and changing nothing …' : 'Trying with a port of this program …'))
    traversal.addEventListener('strategy', ({ detail }) => {
      if (detail.tookMs !== null && err.isTTY === true) line(err, `  ${formatStrategy(detail, progress)}`)
    })
  }
  const network = await findNetwork({ signal })
  const listener = dryRun ? undefined : await listen()
  let report: Report
  let trial: Trial = { readBack: undefined, hairpin: 'unknown' }
  try {
    if (listener !== undefined) wantAll(traversal, network, portOf(listener))
    traversal.networkIs(network)
    await traversal.start()
    await bounded(traversal.firstPass(), patienceMs, signal)
    if (listener !== undefined && !signal.aborted) trial = await examine(traversal, listener, signal)
    report = withTrial(traversal.report(), trial)
  } finally {
    await traversal.stop()
    listener?.close()
    interrupt.done()
  }
  if (signal.aborted && !json) line(err, 'Interrupted; what was mapped is released.')
  if (json) line(out, JSON.stringify(report))
  else line(out, describe(report, trial, dryRun, colorsFor(out)))
  return codeOf(report.verdict)
}

function wantAll(traversal: Traversal, { addresses }: Network, port: number): void {
  traversal.want({ protocol: 'tcp', family: 4, address: '0.0.0.0', port })
  if (addresses.some((address) => familyOf(address) === 6 && isGlobal(address))) {
    traversal.want({ protocol: 'tcp', family: 6, address: '::', port })
  }
}

/** Asks for the mapping again, which shows whether it is still the same, and dials it from inside. */
async function examine(traversal: Traversal, listener: Server, signal: AbortSignal): Promise<Trial> {
  const [mapped] = traversal.report().candidates.filter(({ type }) => type === 'mapped')
  if (mapped === undefined) return { readBack: undefined, hairpin: 'unknown' }
  const answer = Promise.withResolvers<MappingEvent>()
  for (const name of ['renewed', 'changed', 'lost'] as const) {
    traversal.addEventListener(name, ({ detail }) => answer.resolve(detail))
  }
  traversal.recheck()
  const external = parseMultiaddr(mapped.address)
  const [event, hairpin] = await Promise.all([
    bounded(answer.promise, readBackMs, signal),
    external?.family === 4 ? dial(external.address, external.port, listener, signal) : ('unknown' as const)
  ])
  const readBack =
    event === undefined ? undefined : event.event === 'renewed' ? 'same' : event.event === 'lost' ? 'lost' : 'other'
  return { readBack, hairpin }
}

/** Whether the router turns back what is meant for its own external address (RFC 4787 §6). Says nothing of others. */
async function dial(
  address: string,
  port: number,
  listener: Server,
  signal: AbortSignal
): Promise<NatReport['hairpin']> {
  const arrived = once(listener, 'connection', { signal }).then(
    () => true,
    () => false
  )
  const socket = connect({ host: address, port })
  const refused = new Promise<boolean>((resolve) => socket.once('error', () => resolve(false)))
  const outcome = await bounded(Promise.race([arrived, refused]), hairpinMs, signal)
  socket.destroy()
  return outcome === true ? 'works' : 'fails'
}

const withTrial = (report: Report, { hairpin }: Trial): Report =>
  hairpin === 'unknown' ? report : { ...report, nat: { mapping: null, filtering: null, ...report.nat, hairpin } }

async function listen(): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => undefined).end())
  server.listen(0)
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}

/** Waits for something, but no longer than so. */
async function bounded<T>(work: Promise<T>, ms: number, signal: AbortSignal): Promise<T | undefined> {
  const over = new AbortController()
  const limit = systemHost.clock.sleep(ms, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => undefined)
  const result = await Promise.race([work, limit.then(() => undefined)])
  over.abort()
  return result
}

const readBackText = {
  same: 'asked again, and the mapping is the same',
  other: 'asked again, and the mapping became another one',
  lost: 'asked again, and the mapping was gone'
} as const

function describe(report: Report, trial: Trial, dryRun: boolean, colors: Colors): string {
  const { verdict, cause, gateway, externalAddresses, candidates, advice } = report
  const paint = verdict === 'public' ? colors.green : verdict === 'private' ? colors.red : colors.yellow
  const lines = [`${colors.bold('Verdict:')} ${paint(colors.bold(verdict))}${cause === null ? '' : ` (${cause})`}`]
  if (gateway === null) lines.push('Gateway: none, there is no default route')
  else
    lines.push(
      `Gateway: ${gateway.address} on ${gateway.interface}${gateway.description === null ? '' : `, ${gateway.description}`}`
    )
  for (const address of externalAddresses) {
    const state = candidates.find((candidate) => candidate.address === address)?.state
    lines.push(`Address: ${address} (${state})`)
  }
  if (trial.readBack !== undefined) lines.push(`Mapping: ${readBackText[trial.readBack]}`)
  if (trial.hairpin !== 'unknown') lines.push(`Hairpin: ${trial.hairpin} (from inside; says nothing of outside)`)
  lines.push('', formatStrategies(report.strategies, colors))
  if (advice.length > 0) lines.push('', ...advice.map((text) => `${colors.cyan('→')} ${text}`))
  if (dryRun) lines.push('', colors.dim('Nothing was mapped (--dry-run), so what a router would grant is not known.'))
  return lines.join('\n')
}
