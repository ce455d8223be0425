import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { type Clock, type Finding, isNotice, type MultiaddrText, type Network, type Witness } from '@postern/interface'
import { systemClock } from '@postern/testkit'
import { createLibp2p } from 'libp2p'
import { onTestFinished } from 'vitest'
import {
  type AutonatComponents,
  type AutonatHost,
  type AutonatOptions,
  type AutonatServerComponents,
  autonat
} from '../src/index.js'

export const anywhere = (): boolean => true
export const nowhere: Network = { gateways: [], addresses: [] }
const isText = (text: string): text is MultiaddrText => text.startsWith('/')

export interface Node {
  readonly libp2p: Libp2p
  readonly components: Parts
  /** With its peer id. */
  readonly address: MultiaddrText
  /** Without. */
  readonly plain: MultiaddrText
  readonly id: string
}

type Parts = AutonatComponents & AutonatServerComponents & { readonly privateKey: PrivateKey }

/** Of a server of version 1 that is not written in JavaScript. */
export const goAgent = 'kubo/0.29.0/3f0947b'

interface NodeOptions {
  readonly services?: Record<string, (components: Parts) => unknown>
  readonly listen?: readonly string[]
  /** Who it is. */
  readonly privateKey?: PrivateKey
  /** What it says it is, by identify. @default libp2p in JavaScript */
  readonly agent?: string
}

/** A real node on loopback, stopped when the test is over. */
export async function startNode(options: NodeOptions = {}): Promise<Node> {
  const node = await createNode(options)
  onTestFinished(async () => node.libp2p.stop())
  return node
}

/** A real node on loopback, for the caller to stop. */
export async function createNode({ services = {}, listen, privateKey, agent }: NodeOptions = {}): Promise<Node> {
  const parts: { components?: Parts } = {}
  const libp2p = await createLibp2p({
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(agent === undefined ? {} : { nodeInfo: { userAgent: agent } }),
    addresses: { listen: [...(listen ?? ['/ip4/127.0.0.1/tcp/0'])] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ...(services as object),
      parts: (components: unknown) => {
        parts.components = components as Parts
        return {}
      }
    }
  })
  const { components } = parts
  if (components === undefined) throw new Error('the node has no components')
  const address = String(libp2p.getMultiaddrs()[0])
  const plain = address.replace(/\/p2p\/.*$/, '')
  if (!isText(address) || !isText(plain)) throw new Error('the node listens nowhere')
  return { libp2p, components, address, plain, id: libp2p.peerId.toString() }
}

export interface Search {
  readonly findings: readonly Finding[]
  readonly witnesses: () => readonly Witness[]
  /** The first witness, or the one with this id, as soon as there is one. */
  readonly witness: (id?: string) => Promise<Witness>
  readonly finding: <T extends Finding>(wanted: (finding: Finding) => finding is T) => Promise<T>
  readonly stop: () => Promise<void>
  readonly done: Promise<void>
  readonly lines: readonly string[]
}

export const hostOf = (
  components: AutonatComponents,
  clock: Clock = systemClock,
  lines: string[] = []
): AutonatHost => {
  const write = (line: string): void => void lines.push(line)
  return { clock, random: () => 0.5, log: { debug: write, info: write }, components }
}

/** autonat() at work on a node, until the test is over. */
export function search(
  components: AutonatComponents,
  options: AutonatOptions = {},
  clock: Clock = systemClock
): Search {
  const stopping = new AbortController()
  const findings: Finding[] = []
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const strategy = autonat({ mayAsk: anywhere, mayVerify: anywhere, ...options })
  const found = (finding: Finding): void => {
    findings.push(finding)
    for (const look of waiting) look()
  }
  const done = strategy(hostOf(components, clock, lines)).discover(nowhere, found, { signal: stopping.signal })
  done.catch(() => undefined)
  const stop = async (): Promise<void> => {
    stopping.abort()
    await done
  }
  onTestFinished(async () => stop().catch(() => undefined))
  const finding: Search['finding'] = async (wanted) =>
    new Promise((resolve) => {
      const look = (): void => {
        const match = findings.find(wanted)
        if (match === undefined) return
        waiting.delete(look)
        resolve(match)
      }
      waiting.add(look)
      look()
    })
  const isWitness = (each: Finding): each is Witness => each.kind === 'witness'
  return {
    findings,
    lines,
    done,
    stop,
    finding,
    witnesses: () => findings.filter(isWitness),
    witness: async (id) =>
      finding((each): each is Witness => isWitness(each) && (id ?? each.party.id) === each.party.id)
  }
}

/** A signal of a call that nobody aborts. */
export const call = (): { readonly signal: AbortSignal } => new AbortController()
type About = Extract<Finding, { readonly about: unknown }>
type Absent = Extract<Finding, { readonly what: 'absent' }>
export const isGone = (finding: Finding): finding is About => isNotice(finding) && finding.what === 'gone'
export const isAbsent = (finding: Finding): finding is Absent => isNotice(finding) && finding.what === 'absent'
