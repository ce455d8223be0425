import { identify } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
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
} from '../../src/index.js'

export const anywhere = (): boolean => true
export const nowhere: Network = { gateways: [], addresses: [] }
const isText = (text: string): text is MultiaddrText => text.startsWith('/')

export interface Node {
  readonly libp2p: Libp2p
  readonly components: Parts
  /** Its address with its peer id. */
  readonly address: MultiaddrText
  /** Its address without a peer id. */
  readonly plain: MultiaddrText
  readonly id: string
}

type Parts = AutonatComponents & AutonatServerComponents & { readonly privateKey: PrivateKey }

/** The agent of a version 1 server that is not written in JavaScript. */
export const goAgent = 'kubo/0.29.0/3f0947b'

interface NodeOptions {
  readonly services?: Record<string, (components: Parts) => unknown>
  readonly listen?: readonly string[]
  /** The private key that determines the peer id. */
  readonly privateKey?: PrivateKey
  /** The agent version that it reports by identify. @default that of js-libp2p */
  readonly agent?: string
}

/** Starts a real node on loopback. It is stopped when the test ends. */
export async function startNode(options: NodeOptions = {}): Promise<Node> {
  const node = await createNode(options)
  onTestFinished(async () => node.libp2p.stop())
  return node
}

/** Starts a real node on loopback. The caller stops it. */
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
  /** Resolves with the first witness, or with the witness of this peer id. */
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

/** Runs autonat() on a node until the test ends. */
export function search(
  components: AutonatComponents,
  options: AutonatOptions = {},
  clock: Clock = systemClock,
  more: Pick<AutonatHost, 'arrivals'> = {}
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
  const done = strategy({ ...hostOf(components, clock, lines), ...more }).discover(nowhere, found, {
    signal: stopping.signal
  })
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

/** Call options with a signal that never aborts. */
export const call = (): { readonly signal: AbortSignal } => new AbortController()
type About = Extract<Finding, { readonly about: unknown }>
type Absent = Extract<Finding, { readonly what: 'absent' }>
export const isGone = (finding: Finding): finding is About => isNotice(finding) && finding.what === 'gone'
export const isAbsent = (finding: Finding): finding is Absent => isNotice(finding) && finding.what === 'absent'
