import { type CircuitRelayServerInit, circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import {
  type Clock,
  type Finding,
  isNotice,
  type MultiaddrText,
  type Network,
  type Notice,
  type Relay
} from '@postern/interface'
import { systemClock } from '@postern/testkit'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { onTestFinished } from 'vitest'
import { type RelayComponents, type RelayHost, type RelayOptions, relay, screenedCircuit } from '../../src/index.js'

export const nowhere: Network = { gateways: [], addresses: [] }

export type Parts = RelayComponents & { readonly privateKey: PrivateKey }

export interface Node {
  readonly libp2p: Libp2p
  readonly components: Parts
  /** Its address with its peer id; empty if it does not listen. */
  readonly address: MultiaddrText
  readonly id: string
  /** Returns the announced addresses that lead through this relay, or through any relay. */
  readonly circuits: (relay?: Node) => readonly string[]
}

export interface NodeOptions extends Omit<Libp2pOptions, 'services' | 'addresses' | 'transports'> {
  readonly services?: object
  readonly listen?: readonly string[]
  readonly isCircuit?: boolean
  /** The circuit transport. @default one that accepts STOP only from relays of the node */
  readonly circuit?: ReturnType<typeof circuitRelayTransport>
}

/** The nodes of the running test. They are stopped together; otherwise each would wait for the others' connections. */
const ended: Libp2p[] = []

async function endAll(): Promise<void> {
  const all = ended.splice(0)
  // A stop waits half a second for streams that a peer holds open.
  for (const connection of all.flatMap((each) => each.getConnections())) connection.abort(new Error('the test is over'))
  await Promise.all(all.map(async (each) => each.stop()))
}

const screened = (): ReturnType<typeof circuitRelayTransport> => screenedCircuit(circuitRelayTransport())

/** Starts a real node on loopback. It is stopped when the test ends. */
export async function startNode(options: NodeOptions = {}): Promise<Node> {
  const node = await createNode(options)
  ended.push(node.libp2p)
  if (ended.length === 1) onTestFinished(endAll)
  return node
}

/** Creates a real node on loopback. */
export async function createNode(options: NodeOptions = {}): Promise<Node> {
  const { services = {}, listen = [], isCircuit = true, circuit = screened(), ...rest } = options
  const held: { components?: Parts } = {}
  const libp2p = await createLibp2p({
    addresses: { listen: [...listen] },
    transports: isCircuit ? [tcp(), circuit] : [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
    ...rest,
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ...services,
      parts: (components: unknown) => {
        held.components = components as Parts
        return {}
      }
    }
  })
  const { components } = held
  if (components === undefined) throw new Error('the node has no components')
  const circuitOf = (id: string): string => `/p2p/${id}/p2p-circuit`
  return {
    libp2p,
    components,
    address: String(libp2p.getMultiaddrs()[0] ?? '') as MultiaddrText,
    id: libp2p.peerId.toString(),
    circuits: (through) =>
      libp2p
        .getMultiaddrs()
        .map(String)
        .filter((each) => each.includes(through === undefined ? '/p2p-circuit' : circuitOf(through.id)))
  }
}

export interface RelayNodeOptions extends NodeOptions {
  readonly server?: CircuitRelayServerInit
  /** The listen addresses. All of 127.0.0.0/8 is local; the second number of an address chooses the network. */
  readonly host?: string
  readonly port?: number
}

/** The part of the server's reservation store that tests read. */
export interface RelayNode extends Node {
  readonly reserved: () => readonly string[]
  readonly expiresAt: (node: Node) => number | undefined
  readonly forget: (node: Node) => void
}

/** Starts a real js-libp2p relay. */
export async function startRelay(options: RelayNodeOptions = {}): Promise<RelayNode> {
  const { server = {}, host = '127.0.0.1', port = 0, services = {}, ...rest } = options
  const node = await startNode({
    listen: [`/ip4/${host}/tcp/${port}`],
    services: { relay: circuitRelayServer(server), ...services },
    ...rest
  })
  const { reservations } = (
    node.libp2p.services as unknown as { relay: ReturnType<ReturnType<typeof circuitRelayServer>> }
  ).relay
  return {
    ...node,
    reserved: () => [...reservations.keys()].map(String),
    expiresAt: (client) => reservations.get(client.libp2p.peerId)?.expiry.getTime(),
    forget: (client) => void reservations.delete(client.libp2p.peerId)
  }
}

export interface Search {
  readonly findings: readonly Finding[]
  readonly relays: () => readonly Relay[]
  /** Resolves with the first relay, or with the relay of this peer id, when it is found. */
  readonly relay: (node?: Node) => Promise<Relay>
  /** Resolves with the next finding of that sort after this number of findings. */
  readonly finding: <T extends Finding>(wanted: (finding: Finding) => finding is T, after?: number) => Promise<T>
  readonly stop: () => Promise<void>
  readonly done: Promise<void>
  readonly lines: readonly string[]
}

export const hostOf = (components: RelayComponents, clock: Clock = systemClock, lines: string[] = []): RelayHost => {
  const write = (line: string): void => void lines.push(line)
  return { clock, random: () => 0.5, log: { debug: write, info: write }, components }
}

/** Runs relay() on a node until the test ends. */
export function search(components: RelayComponents, options: RelayOptions = {}, clock: Clock = systemClock): Search {
  const stopping = new AbortController()
  const findings: Finding[] = []
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const found = (finding: Finding): void => {
    findings.push(finding)
    for (const look of waiting) look()
  }
  const discovery = relay({ discover: false, ...options })(hostOf(components, clock, lines))
  const done = discovery.discover(nowhere, found, { signal: stopping.signal })
  const stop = async (): Promise<void> => {
    stopping.abort()
    await done
  }
  onTestFinished(stop)
  const finding: Search['finding'] = async (wanted, after = 0) =>
    new Promise((resolve) => {
      const look = (): void => {
        const match = findings.slice(after).find(wanted)
        if (match === undefined) return
        waiting.delete(look)
        resolve(match)
      }
      waiting.add(look)
      look()
    })
  return {
    findings,
    lines,
    done,
    stop,
    finding,
    relays: () => findings.filter(isRelay),
    relay: async (node) =>
      finding((each): each is Relay => isRelay(each) && (node === undefined || node.id === each.party.id))
  }
}

/** Call options with a signal that never aborts. */
export const call = (): { readonly signal: AbortSignal } => new AbortController()
export const isRelay = (finding: Finding): finding is Relay => finding.kind === 'relay'
export const isGone = (finding: Finding): finding is Gone => isNotice(finding) && finding.what === 'gone'
export const isAbsent = (finding: Finding): finding is Absent => isNotice(finding) && finding.what === 'absent'
type Absent = Extract<Notice, { what: 'absent' }>
type Gone = Exclude<Notice, Absent | { readonly what: 'unheard' | 'observed' | 'described' }>

/** Resolves with the result of dialling an address. */
export async function dial(from: Node, address: string): Promise<'direct' | 'relayed'> {
  const connection = await from.libp2p.dial(multiaddr(address))
  return connection.direct ? 'direct' : 'relayed'
}

/** Resolves when the condition holds. Checks at every turn of the event loop; Vitest's timeout is the limit. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Counts the open streams of the relay protocol and of pings at the node. */
export const streamsOf = (node: Node): number =>
  node.libp2p
    .getConnections()
    .flatMap(({ streams }) => streams)
    .filter(({ protocol }) => protocol.startsWith('/libp2p/circuit/') || protocol.startsWith('/ipfs/ping/')).length

/** Starts a relay and a searching node that has dialled it. */
export async function pair(
  relayOptions: RelayNodeOptions = {},
  options: RelayOptions = {},
  nodeOptions: NodeOptions = {}
): Promise<{ readonly relay: RelayNode; readonly node: Node; readonly looking: Search; readonly ability: Relay }> {
  const [serving, node] = await Promise.all([startRelay(relayOptions), startNode(nodeOptions)])
  await node.libp2p.dial(multiaddr(serving.address))
  const looking = search(node.components, options)
  return { relay: serving, node, looking, ability: await looking.relay(serving) }
}
