// A home behind a real router, with three public libp2p peers.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { openLab, withPeers } from '@postern/lab'
import { buildGoPeer } from '../interop/build.mjs'

const jobs = fileURLToPath(new URL('jobs/', import.meta.url))
const hosts = ['alpha', 'bravo', 'charlie']

/** The stacks, and the command that starts each in a home. `isStock`: the aim for the first address is against this one.
 * `isLater`: it differs from the one before only after the mapping. */
export const stacks = [
  { name: 'Postern', command: (peers) => [process.execPath, `${jobs}libp2p-node.mjs`, 'ours', JSON.stringify(peers)] },
  {
    name: 'js-libp2p: upnp-nat, autonat-v2, relays',
    isStock: true,
    command: (peers) => [process.execPath, `${jobs}libp2p-node.mjs`, 'stock', JSON.stringify(peers)]
  },
  {
    name: 'the same, peers connected again once mapped',
    isLater: true,
    command: (peers) => [process.execPath, `${jobs}libp2p-node.mjs`, 'stock-again', JSON.stringify(peers)]
  }
]

/** Returns the stack of go-libp2p, or why it cannot run here. */
export async function goStack(progress) {
  const go = await buildGoPeer(progress)
  if (!go.ok) return { reason: go.reason }
  const options = (peers) => [
    ...peers.slice(0, 2).flatMap((each) => ['-relay', each]),
    ...peers.flatMap((each) => ['-peer', each])
  ]
  return {
    stack: {
      name: 'go-libp2p: NATPortMap, AutoNAT v2, AutoRelay',
      command: (peers, known) => [
        go.path,
        'node',
        '-listen',
        '/ip4/0.0.0.0/tcp/4001',
        ...options(peers),
        ...(known === 'private' ? ['-private'] : [])
      ]
    }
  }
}

/** Returns the command of a node of ours in one of two homes. @param {'punching' | 'relayed'} kind */
export const punchNode = (kind, port, peers) => [
  process.execPath,
  `${jobs}punch-node.mjs`,
  kind,
  String(port),
  JSON.stringify(peers)
]

/** Starts a program in a host, and reads its output line by line. */
export class Talker {
  #child
  #lines = []
  #waiting = new Set()
  #exited

  /** @param {NodeJS.ProcessEnv} [env] - added to that of this process */
  constructor(lab, host, command, env) {
    this.#child = lab.spawn(host, command, { stdio: ['pipe', 'pipe', 'ignore'], env })
    this.#exited = once(this.#child, 'close').catch(() => {})
    this.#child.stdin.on('error', () => {})
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#lines.push({ at: performance.now(), ...JSON.parse(line) })
      for (const look of this.#waiting) look()
    })
  }

  get heard() {
    return this.#lines.length
  }

  /** Resolves with the first line from number `from` on that fits; with undefined if there is none in time. */
  hear(fits, timeoutMs, from = 0) {
    return new Promise((resolve) => {
      const settle = (line) => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(line)
      }
      const look = () => {
        const found = this.#lines.slice(from).find(fits)
        if (found !== undefined) settle(found)
      }
      const timer = setTimeout(() => settle(undefined), timeoutMs)
      this.#waiting.add(look)
      look()
    })
  }

  /** Returns the last line so far that fits. */
  last(fits) {
    return this.#lines.findLast(fits)
  }

  say(line) {
    this.#child.stdin.write(`${line}\n`)
  }

  async end() {
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 3000)
    // The Go program ends with a signal.
    this.#child.kill('SIGTERM')
    await this.#exited
    clearTimeout(timer)
  }

  async kill() {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}

export class World {
  peers = []
  #talkers = new Map()
  #relays

  /**
   * @param {'stock' | 'generous'} [relays] - what they let through a connection
   * @param {Readonly<Record<string, number>>} [delaysMs] - how far peers are from the internet, one way
   */
  static async open(topology, signal, relays = 'stock', delaysMs = {}) {
    const world = new World()
    world.#relays = relays
    world.lab = await openLab(further(withPeers(topology), delaysMs), { signal })
    try {
      world.peers = await Promise.all(hosts.map((host) => world.startPeer(host)))
    } catch (error) {
      await world.close()
      throw error
    }
    return world
  }

  /** Starts a peer. Resolves with its address. */
  async startPeer(host) {
    const address = `/ip4/${this.lab.address(host)}/tcp/4001`
    const talker = new Talker(this.lab, host, [
      process.execPath,
      `${jobs}libp2p-peer.mjs`,
      address,
      String(1 + hosts.indexOf(host)),
      this.#relays
    ])
    this.#talkers.set(host, talker)
    const ready = await talker.hear((line) => line.address, 10_000)
    if (ready === undefined) throw new Error(`the peer in ${host} does not start`)
    return ready.address
  }

  /** Starts a host outside that is connected to nothing, to dial what a node announces. */
  async startVisitor() {
    const visitor = new Talker(this.lab, 'outsider', [process.execPath, `${jobs}libp2p-visitor.mjs`])
    if ((await visitor.hear(({ ready }) => ready, 10_000)) === undefined) throw new Error('the visitor does not start')
    return visitor
  }

  killPeer(host) {
    return this.#talkers.get(host).kill()
  }

  /** @param {'private'} [known] - that it is unreachable */
  startHome({ command }, known) {
    return new Talker(this.lab, 'home', command(this.peers, known))
  }

  close() {
    return this.lab.close()
  }
}

/** Returns the topology with hosts that are further away, one way in ms. */
export function further(topology, delaysMs) {
  const moved = Object.entries(topology.hosts).map(([host, plan]) => [
    host,
    host in delaysMs ? { ...plan, links: plan.links.map((link) => ({ ...link, delayMs: delaysMs[host] })) } : plan
  ])
  return { ...topology, hosts: Object.fromEntries(moved) }
}

/** Returns the addresses that a line announces, in either of the two formats. */
const announced = ({ addresses, event, addrs }) => addresses ?? (event === 'addresses' ? addrs : undefined) ?? []

/** Returns the announced addresses of a line that another host may be able to dial. */
export const dialableOf = (line) =>
  announced(line).filter((each) => each.includes('/p2p-circuit') || each.startsWith('/ip4/11.0.0.2/tcp/'))

export const isRelayed = (line) => announced(line).some((each) => each.includes('/p2p-circuit'))

/** Whether a line announces the verified mapped address: js-libp2p announces only verified ones, and go-libp2p marks
 * them. */
export const isVerified = (line) =>
  line.event === undefined
    ? announced(line).some((each) => each.startsWith('/ip4/11.0.0.2/tcp/'))
    : line.event === 'reachability-v2' && line.reachable.some((each) => each.startsWith('/ip4/11.0.0.2/tcp/'))
