import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { canRunLab, type Lab } from '@postern/lab'
import { buildGoPeer, buildGoPunch, buildRustPunch } from './build.mjs'

interface Connection {
  readonly peerId: string
  readonly address: string
  readonly inbound: boolean
  /** Not through a relay. */
  readonly direct: boolean
}

interface Addresses {
  readonly addrs: readonly string[]
}

/** The events of the peer, by name. The README says when each is emitted. */
interface Told {
  readonly ready: Addresses & { readonly peerId: string }
  readonly connection: Connection
  readonly disconnection: Connection
  readonly reserve: { readonly peerId: string; readonly address: string }
  readonly circuit: { readonly from: string; readonly address: string; readonly to: string }
  /** `limited`: the relay ends the connection after some time or traffic. */
  readonly connected: Omit<Connection, 'inbound'> & { readonly limited: boolean; readonly rttMs: number }
  readonly 'first-address': { readonly kind: 'direct' | 'relayed'; readonly address: string }
  readonly addresses: Addresses
  readonly relays: Addresses
  readonly reachability: { readonly reachability: 'public' | 'private' | 'unknown' }
  readonly 'reachability-v2': {
    readonly reachable: readonly string[]
    readonly unreachable: readonly string[]
    readonly unknown: readonly string[]
  }
  readonly unreached: { readonly peerId: string; readonly error: string }
  readonly failed: { readonly error: string }
  readonly able: object
  readonly relayed: { readonly address: string }
  /** An event of the other implementation's own hole punching. */
  readonly trace: { readonly type: string; readonly detail: string }
  /** `open`: the addresses of all connections to the peer. */
  readonly pinged: { readonly rttMs: number; readonly open: readonly string[] }
}

type Line = { [Name in keyof Told]: { readonly event: Name; readonly ms: number } & Told[Name] }[keyof Told]

/** A line of the peer's output; `ms` since it was started. */
export type GoEvent<Name extends keyof Told = keyof Told> = Extract<Line, { readonly event: Name }>

/** A running Go peer in a host of a lab. It ends with the lab. */
export interface GoPeer {
  /** The events so far. */
  readonly events: readonly GoEvent[]
  /** Resolves with the first accepted event of that name, past or future. Rejects if the peer ends first, or too
   * late. */
  wait<Name extends keyof Told>(
    name: Name,
    accepts?: (event: GoEvent<Name>) => boolean,
    timeoutMs?: number
  ): Promise<GoEvent<Name>>
  /** Sends a line to a program that takes commands. */
  say(line: string): void
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>
  /** Sends SIGTERM and resolves with the exit code. */
  stop(): Promise<number | null>
}

/** Finds out whether Go peers can run in labs here, and where the program is. Builds it if necessary. */
export async function findGoPeer(): ReturnType<typeof buildGoPeer> {
  const support = await canRunLab()
  return support.ok ? buildGoPeer() : support
}

/** The same for a home that punches holes. */
export async function findGoPunch(version: Parameters<typeof buildGoPunch>[0]): ReturnType<typeof buildGoPunch> {
  const support = await canRunLab()
  return support.ok ? buildGoPunch(version) : support
}

/** The same on rust-libp2p: it takes the options and commands of the Go program, and emits the same events. */
export async function findRustPunch(): ReturnType<typeof buildRustPunch> {
  const support = await canRunLab()
  return support.ok ? buildRustPunch() : support
}

/** Starts the program in a host: `'serve', '-listen', …`, `'dial', …` or `'node', …`. The README lists the other
 * options. */
export function startGoPeer(lab: Lab, program: string, host: string, ...args: readonly string[]): GoPeer {
  const child = lab.spawn(host, [program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  if (child.stdout === null || child.stdin === null) throw new Error('the peer has no pipes')
  const { stdin } = child
  stdin.on('error', () => undefined)
  const events: GoEvent[] = []
  const watchers = new Set<() => void>()
  let [errors, over] = ['', false]
  const wake = (): void => {
    for (const watcher of watchers) watcher()
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line) as GoEvent)
    wake()
  })
  child.stderr?.on('data', (data) => (errors += String(data)))
  const ended = once(child, 'close').then(([code]) => {
    over = true
    wake()
    return code as number | null
  })

  return {
    events,
    say: (line) => void stdin.write(`${line}\n`),
    ended,
    wait<Name extends keyof Told>(
      name: Name,
      accepts: (event: GoEvent<Name>) => boolean = () => true,
      timeoutMs = 10_000
    ): Promise<GoEvent<Name>> {
      const isNamed = (each: GoEvent): each is GoEvent<Name> => each.event === name
      return new Promise((resolve, reject) => {
        const end = (): void => {
          watchers.delete(look)
          clearTimeout(timer)
        }
        const fail = (what: string): void => {
          end()
          reject(new Error(`${host}: ${what} "${name}". ${JSON.stringify(events)} ${errors}`))
        }
        const look = (): void => {
          const found = events.filter(isNamed).find(accepts)
          if (found !== undefined) {
            end()
            resolve(found)
          } else if (over) fail('ended without')
        }
        const timer = setTimeout(() => fail(`${timeoutMs} ms without`), timeoutMs)
        watchers.add(look)
        look()
      })
    },
    stop() {
      child.kill()
      return ended
    }
  }
}
