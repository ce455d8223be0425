import type { ChildProcess } from 'node:child_process'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { LabError } from './errors.js'
import type { Namespace } from './namespace.js'
import { holdOn, letGo } from './namespace.js'

/** How long a frame takes over a cable, one way; the same both ways. */
export interface Delay {
  readonly delayMs: number
  /** Each frame takes up to so much longer, at random, and never overtakes another. */
  readonly jitterMs: number
}

/** Whether it is one at all. */
export const isDelay = ({ delayMs, jitterMs }: Delay): boolean => delayMs > 0 || jitterMs > 0

/** A cable between a port of the lab and the bridge that is its network. */
export interface Cable {
  readonly port: string
  readonly bridge: string
  /** The bridge sends back to the port what came from it, where that is where it belongs. */
  readonly hairpin: boolean
}

/**
 * Cables that take time. Not every kernel has netem, so that a delayed cable leads over two VXLAN devices of the kernel
 * and a program that sits between them, in a namespace of its own, and holds each frame back for a while: what VXLAN
 * wraps are plain datagrams, which any program may receive, without a device file or raw sockets.
 */
export class DelayedCables {
  readonly #namespace: Namespace
  readonly #numbers = new Map<string, number>()
  #last = 0
  #forwarder: Promise<Forwarder> | undefined

  constructor(namespace: Namespace) {
    this.#namespace = namespace
  }

  /** Sets the delays of cables; two zeros make one a plain one again. Rejects with a LabError. */
  async set(wishes: readonly { readonly cable: Cable; readonly delay: Delay }[]): Promise<void> {
    if (this.#forwarder === undefined && wishes.some(({ delay }) => isDelay(delay))) await this.#prepare()
    const steps: string[] = []
    const orders: string[] = []
    for (const { cable, delay } of wishes) {
      const { delayMs, jitterMs } = delay
      const number = this.#numbers.get(cable.port)
      if (!isDelay(delay)) {
        if (number !== undefined) steps.push(plainSteps(cable, number))
        this.#numbers.delete(cable.port)
        continue
      }
      // Numbers are not given twice: frames of a cable that was there before may still be under way.
      const chosen = number ?? ++this.#last
      if (number === undefined) steps.push(delayedSteps(cable, chosen))
      this.#numbers.set(cable.port, chosen)
      orders.push(`${2 * chosen} ${2 * chosen + 1} ${delayMs} ${jitterMs}`)
    }
    const plugged = steps.length === 0 ? undefined : this.#namespace.script(undefined, steps.join('\n'))
    await Promise.all([this.#tell(orders), plugged])
  }

  async #tell(orders: readonly string[]): Promise<void> {
    const forwarder = await this.#forwarder
    for (const order of orders) await forwarder?.(order)
  }

  /** Makes room for the forwarder and starts it, where the kernel has what it takes. */
  async #prepare(): Promise<void> {
    try {
      await this.#namespace.script(undefined, `${delayTrial}\n${roomSteps}`)
    } catch (cause) {
      if (cause instanceof LabError && cause.code === 'LAB_CLOSED') throw cause
      throw new LabError('LAB_UNSUPPORTED', 'This kernel has no VXLAN, which a lab needs for delay.', { cause })
    }
    this.#forwarder = startForwarder(this.#namespace)
  }
}

/** Gives it one line and resolves when it has obeyed; not to be called again before that. */
type Forwarder = (line: string) => Promise<void>

// Hosts cannot be named so. Link-local addresses, which no topology uses.
const room = '_forwarder'
const [kernelSide, forwarderSide] = ['169.254.254.1', '169.254.254.2'] as const
const port = 4789 // RFC 7348, section 5

// A frame in its wrapping is longer than a frame. Nobody but the forwarder is to find the address of the kernel's side.
const roomSteps = `
echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
ip -batch - << 'END'
netns add ${room}
link add forwarder mtu 9000 type veth peer name eth0 mtu 9000 netns ${room}
addr add ${kernelSide}/30 dev forwarder
link set forwarder up
END
ip -n ${room} addr add ${forwarderSide}/30 dev eth0
ip -n ${room} link set eth0 up`

/** Checks that the kernel has what a delay takes; POSIX sh. */
export const delayTrial: string = `ip link add trial0 type vxlan id 1 local ${kernelSide} remote ${forwarderSide} dstport ${port}
ethtool -K trial0 tx off > /dev/null`

async function startForwarder(namespace: Namespace): Promise<Forwarder> {
  // From the sources as from what they are compiled to, this is the compiled one.
  const program = path.join(import.meta.dirname, '..', 'dist', 'forwarder.js')
  const command = [process.execPath, program, kernelSide, String(port)]
  const child = namespace.spawn(room, command, { stdio: ['pipe', 'pipe', 'ignore'], cwd: '/' })
  child.stdin?.on('error', () => {}) // it may die first, with its lab
  const answers = lines(child)
  if ((await answers.next()).done) throw new LabError('LAB_SETUP', `The forwarder of the lab did not start: ${program}`)
  letGo(child)
  return async (line) => {
    holdOn(child)
    child.stdin?.write(`${line}\n`)
    const { done } = await answers.next()
    letGo(child)
    if (done) throw new LabError('LAB_CLOSED', 'The forwarder of the lab has ended.')
  }
}

/** Puts the forwarder between the port and its network. POSIX sh. */
function delayedSteps({ port: end, bridge, hairpin }: Cable, number: number): string {
  const device = (name: string, id: number): string =>
    `link add ${name} type vxlan id ${id} local ${kernelSide} remote ${forwarderSide} dstport ${port} nolearning`
  const [slow, near, far] = devices(number)
  // Checksums and segments that are left to the hardware would never be made: the forwarder is none.
  return `ip -batch - << 'END'
link add ${slow} type bridge mcast_snooping 0
link set ${slow} up
${device(near, 2 * number)}
${device(far, 2 * number + 1)}
END
ethtool -K ${near} tx off > /dev/null
ethtool -K ${far} tx off > /dev/null
ip -batch - << 'END'
link set ${near} master ${slow} up
link set ${far} master ${bridge} up
${plugSteps(end, slow, hairpin)}
END`
}

/** Takes it out again. */
function plainSteps({ port: end, bridge, hairpin }: Cable, number: number): string {
  const unused = devices(number).map((name) => `link del ${name}`)
  return `ip -batch - << 'END'\n${plugSteps(end, bridge, hairpin)}\n${unused.join('\n')}\nEND`
}

const devices = (number: number): [string, string, string] => [`slow${number}`, `near${number}`, `far${number}`]

/** Attaches a port to a bridge; input of `ip -batch`. */
export function plugSteps(end: string, bridge: string, hairpin: boolean): string {
  const flag = hairpin ? `\nlink set ${end} type bridge_slave hairpin on` : ''
  return `link set ${end} master ${bridge} up${flag}`
}

/** The lines that a program writes, one at a time. */
function lines({ stdout }: ChildProcess): AsyncIterator<string> {
  if (stdout === null) throw new TypeError('The program has no output')
  return createInterface({ input: stdout })[Symbol.asyncIterator]()
}
