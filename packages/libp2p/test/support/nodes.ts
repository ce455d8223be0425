import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Report } from '@postern/core'
import type { Lab } from '@postern/lab'

/** One JSON line of a node. */
export interface Said {
  /** The time since the process started, in milliseconds. */
  readonly ms: number
  readonly event?: string
  readonly [key: string]: unknown
}

export interface Dialled {
  readonly direct: boolean
  readonly limited: boolean
  readonly remoteAddress: string
  readonly rttMs: number
  readonly ms: number
}

export interface Connected {
  readonly address: string
  readonly limited: boolean
  readonly direction: 'inbound' | 'outbound'
}

/** The timers before and after the stop, each as the call stack of its creation. */
interface Timers {
  readonly before: readonly string[]
  readonly left: readonly string[]
}

/** A libp2p node in a host of the lab. */
export interface LabNode extends AsyncDisposable {
  readonly peerId: string
  readonly said: readonly Said[]
  readonly process: ChildProcess
  /** Resolves with the first past or future line that matches. Rejects after 20 s with the lines that were printed. */
  until(isIt: (line: Said) => boolean): Promise<Said>
  dial(address: string): Promise<Dialled>
  /** Resolves with a direct connection to a connected peer. */
  direct(peer: string): Promise<Dialled>
  /** Resolves with the connections to a peer. */
  connections(peer: string): Promise<readonly Connected[]>
  ping(peer: string): Promise<number>
  report(): Promise<Report>
  addresses(): Promise<readonly string[]>
  listen(address: string): Promise<void>
  recheck(): Promise<void>
  peers(): Promise<readonly string[]>
  /** Stops the node and resolves with what keeps its process alive; for Helia also with our timers. */
  stop(): Promise<{ readonly resources: readonly string[]; readonly timers?: Timers }>
  /** Adds a block and resolves with its CID. Helia only. */
  add(text: string): Promise<string>
  /** Dials an address and fetches a block from there. Helia only. */
  fetch(cid: string, from: string): Promise<string>
  kill(): Promise<void>
}

export interface NodeConfig {
  readonly listen?: readonly string[]
  readonly announce?: readonly string[]
  /** The seed of the peer id. */
  readonly seed?: number
  /** Whether it also supports QUIC and WebRTC-direct. */
  readonly quic?: boolean
  readonly webRtc?: boolean
  /** Whether libp2p checks silent connections every 10 s. @default true */
  readonly monitored?: boolean
  /** A STUN server; with it, the node supports WebRTC through relays. */
  readonly iceServer?: string
  readonly connect?: readonly string[]
  readonly relayServer?: { readonly reservations?: Record<string, unknown> }
  readonly autonatServer?: boolean
  readonly lies?: 'reachable' | 'unreachable' | 'silent'
  /** `@libp2p/upnp-nat` with our client. */
  readonly upnpNat?: { readonly autoConfirmAddress?: boolean }
  readonly nat?: {
    readonly strategies?: readonly (readonly [name: string, options?: unknown])[]
    readonly policy?: Record<string, unknown>
  }
}

const waitMs = 20_000

/** Starts a node in a host. Resolves when it listens. */
export async function startNode(
  lab: Lab,
  host: string,
  config: NodeConfig,
  program: 'node.mjs' | 'helia.mjs' = 'node.mjs'
): Promise<LabNode> {
  const child = lab.spawn(host, [process.execPath, join(import.meta.dirname, program), JSON.stringify(config)], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const said: Said[] = []
  const waiting = new Set<() => void>()
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error('no pipes')
  createInterface({ input: stdout }).on('line', (line) => {
    said.push(JSON.parse(line) as Said)
    for (const look of waiting) look()
  })
  stdin.on('error', () => undefined)
  const exited = once(child, 'exit')
  let commands = 0

  function until(isIt: (line: Said) => boolean): Promise<Said> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer)
        waiting.delete(look)
      }
      const look = (): void => {
        const found = said.find(isIt)
        if (found === undefined) return
        stop()
        resolve(found)
      }
      const timer = setTimeout(() => {
        stop()
        reject(new Error(`${host} did not say that; it said:\n${said.map((line) => JSON.stringify(line)).join('\n')}`))
      }, waitMs)
      waiting.add(look)
      look()
    })
  }

  async function command<T>(name: string, options: Record<string, unknown> = {}): Promise<T> {
    const id = ++commands
    stdin?.write(`${JSON.stringify({ id, do: name, ...options })}\n`)
    const { result, error } = await until((line) => line['id'] === id)
    if (typeof error === 'string') throw new Error(error)
    return result as T
  }

  async function kill(): Promise<void> {
    child.kill('SIGKILL')
    await exited
  }

  const ready = await until(({ event }) => event === 'ready')
  return {
    peerId: String(ready['peerId']),
    said,
    process: child,
    until,
    dial: (address) => command('dial', { address }),
    direct: (peer) => command('direct', { peer }),
    connections: (peer) => command('connections', { peer }),
    ping: (peer) => command('ping', { peer }),
    report: () => command('report'),
    addresses: () => command('addresses'),
    listen: (address) => command('listen', { address }),
    recheck: () => command('recheck'),
    peers: () => command('peers'),
    stop: () => command('stop'),
    add: (text) => command('add', { text }),
    fetch: (cid, from) => command('fetch', { cid, from }),
    kill,
    [Symbol.asyncDispose]: kill
  }
}
