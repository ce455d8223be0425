import type { ChildProcess } from 'node:child_process'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { LabError } from './errors.js'
import type { Namespace } from './namespace.js'
import { refChild, unrefChild } from './namespace.js'

/** The delay of a cable. It applies to each direction. */
export interface Delay {
  /** The one-way delay, in milliseconds. */
  readonly delayMs: number
  /** The maximum of the additional random delay, in milliseconds. Frames keep their order. */
  readonly jitterMs: number
}

/** Returns whether the delay is not zero. */
export const isDelay = ({ delayMs, jitterMs }: Delay): boolean => delayMs > 0 || jitterMs > 0

/** A cable between a port of the lab and the bridge of its network. */
export interface Cable {
  readonly port: string
  readonly bridge: string
  /** Whether the bridge may send frames back to the port from which they came. */
  readonly hairpin: boolean
}

/**
 * Cables with a delay. Not every kernel has netem, so a delayed cable leads through two VXLAN devices and a program
 * between them, in its own namespace, which holds each frame back. VXLAN carries frames in plain UDP datagrams, which
 * any program can receive without a device file or raw sockets.
 */
export class DelayedCables {
  readonly #namespace: Namespace
  readonly #numbers = new Map<string, number>()
  #last = 0
  #forwarder: Promise<Forwarder> | undefined

  constructor(namespace: Namespace) {
    this.#namespace = namespace
  }

  /**
   * Sets the delays of cables. Two zeros remove the delay. Rejects with a LabError: LAB_UNSUPPORTED, LAB_COMMAND or
   * LAB_CLOSED.
   */
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
      // Numbers are not reused, since frames of a previous cable may still be in transit.
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

  /** Creates the namespace of the forwarder and starts it. Rejects with LAB_UNSUPPORTED if the kernel lacks VXLAN. */
  async #prepare(): Promise<void> {
    try {
      await this.#namespace.script(undefined, `${delayTrial}\n${roomSteps}`)
    } catch (cause) {
      if (cause instanceof LabError && cause.code === 'LAB_CLOSED') throw cause
      throw new LabError('LAB_UNSUPPORTED', 'This kernel has no VXLAN, which a lab needs for delays.', { cause })
    }
    this.#forwarder = startForwarder(this.#namespace)
  }
}

/**
 * Sends one command line to the forwarder and resolves when it is carried out. Must not be called again before that.
 */
type Forwarder = (line: string) => Promise<void>

// No host can have this name. The addresses are link-local, which no topology uses.
const room = '_forwarder'
const [kernelSide, forwarderSide] = ['169.254.254.1', '169.254.254.2'] as const
const port = 4789 // RFC 7348, section 5

// The MTU leaves room for the VXLAN header. With arp_ignore, only the forwarder finds the address of the kernel's side.
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

/** A POSIX sh script that checks whether the kernel supports delays. */
export const delayTrial: string = `ip link add trial0 type vxlan id 1 local ${kernelSide} remote ${forwarderSide} dstport ${port}
ethtool -K trial0 tx off > /dev/null`

async function startForwarder(namespace: Namespace): Promise<Forwarder> {
  // This path leads to the compiled program, both from src and from dist.
  const program = path.join(import.meta.dirname, '..', 'dist', 'forwarder.js')
  const command = [process.execPath, program, kernelSide, String(port)]
  const child = namespace.spawn(room, command, { stdio: ['pipe', 'pipe', 'ignore'], cwd: '/' })
  child.stdin?.on('error', () => {}) // the forwarder may end first, together with its lab
  const answers = lines(child)
  if ((await answers.next()).done) throw new LabError('LAB_SETUP', `The forwarder of the lab did not start: ${program}`)
  unrefChild(child)
  return async (line) => {
    refChild(child)
    child.stdin?.write(`${line}\n`)
    const { done } = await answers.next()
    unrefChild(child)
    if (done) throw new LabError('LAB_CLOSED', 'The forwarder of the lab has ended.')
  }
}

/** Returns the POSIX sh steps that put the forwarder between a port and its network. */
function delayedSteps({ port: end, bridge, hairpin }: Cable, number: number): string {
  const device = (name: string, id: number): string =>
    `link add ${name} type vxlan id ${id} local ${kernelSide} remote ${forwarderSide} dstport ${port} nolearning`
  const [slow, near, far] = devices(number)
  // The forwarder is not hardware, so checksums and segmentation must not be offloaded to it.
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

/** Returns the steps that remove the forwarder again. */
function plainSteps({ port: end, bridge, hairpin }: Cable, number: number): string {
  const unused = devices(number).map((name) => `link del ${name}`)
  return `ip -batch - << 'END'\n${plugSteps(end, bridge, hairpin)}\n${unused.join('\n')}\nEND`
}

const devices = (number: number): [string, string, string] => [`slow${number}`, `near${number}`, `far${number}`]

/** Returns the lines for `ip -batch` that attach a port to a bridge. */
export function plugSteps(end: string, bridge: string, hairpin: boolean): string {
  const flag = hairpin ? `\nlink set ${end} type bridge_slave hairpin on` : ''
  return `link set ${end} master ${bridge} up${flag}`
}

/** Iterates over the lines that a program prints. */
function lines({ stdout }: ChildProcess): AsyncIterator<string> {
  if (stdout === null) throw new TypeError('The program has no output')
  return createInterface({ input: stdout })[Symbol.asyncIterator]()
}
