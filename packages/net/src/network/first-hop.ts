import { createSocket } from 'node:dgram'
import { anySignal, type CallOptions, type Clock, familyOf, type NatError, natError } from '@postern/interface'
import { nodeFs } from '../async/builtins.js'
import { addHandle } from '../async/handles.js'

/** The options of {@link isOnFirstHop}. */
export interface FirstHopOptions {
  /** The clock for the waits. */
  readonly clock: Clock
  /** Resolves to the number of ICMP "time exceeded" messages that this host has received; undefined if the system does
   * not tell.
   * @default `/proc/net/snmp` */
  readonly timeExceeded?: () => Promise<number | undefined>
  /** Sends `count` datagrams that the first router does not forward, and listens until the signal aborts. Resolves to
   * whether the address refused one of them.
   * @default real sockets with a TTL of 1 */
  readonly probe?: (address: string, count: number, call: CallOptions) => Promise<boolean>
  /** Returns an integer from 0 up to `bound`, exclusive. A host on the link must not be able to predict it.
   * @default that of Web Crypto */
  readonly random?: (bound: number) => number
}

/** The number of datagrams in the first and in the second round. A Linux router sends at most six ICMP errors to a host
 * at once, and then one per second (icmp_ratelimit). */
const datagrams = { first: 5, again: 3 } as const
/** The number of time windows that the datagrams are spread over, and the minimum number of these that stay empty. */
const windows = 6
const minSilent = 2
/** The range from which the length of each window is chosen at random, in ms. */
const window = { minMs: 50, maxMs: 80 } as const
/** The pause before the second round, in ms, after which a rate-limited router answers again. */
const pauseMs = 2200

/**
 * Resolves to whether an IPv4 address belongs to the next hop itself. Sends a few datagrams with a TTL of 1, which the
 * next hop does not forward.
 *
 * A router answers for its own address, or is silent. For an address behind it, it answers that the time to live is
 * exceeded (RFC 1812 §5.2.7.3). `held`: the address itself answered. `beyond`: the address lies behind the next hop, so
 * the router that claimed it is behind another NAT, or lies. `unknown`: neither was observed. Only Linux counts those
 * messages, so other systems never return `beyond`. Rejects with the signal's reason.
 *
 * The counter does not tell where a message came from, and any host on the link can forge messages. So the datagrams
 * are spread at random over windows of random length, some of which stay empty, and the count must match in each
 * window: as many messages as datagrams, and none in an empty window. If all windows match, the test is repeated a few
 * seconds later with another distribution. A single mismatch gives `unknown`.
 */
export async function isOnFirstHop(
  address: string,
  options: FirstHopOptions,
  call: CallOptions
): Promise<'held' | 'beyond' | 'unknown'> {
  if (familyOf(address) !== 4) return 'unknown'
  const first = await countAnswers(address, datagrams.first, options, call)
  if (first !== 'beyond') return first
  await options.clock.sleep(pauseMs, call)
  return countAnswers(address, datagrams.again, options, call)
}

async function countAnswers(
  address: string,
  total: number,
  options: FirstHopOptions,
  call: CallOptions
): Promise<'held' | 'beyond' | 'unknown'> {
  const { clock, timeExceeded = readTimeExceeded, probe = probeWithSockets, random = randomBelow } = options
  for (const count of spread(total, random)) {
    const before = await timeExceeded()
    const over = new AbortController()
    const signal = anySignal([call.signal, over.signal])
    const waitMs = window.minMs + random(window.maxMs - window.minMs + 1)
    const limit = clock.sleep(waitMs, { signal }).then(
      () => over.abort(),
      () => over.abort()
    )
    const refused = count > 0 && (await probe(address, count, over))
    if (count > 0) over.abort()
    await limit
    call.signal.throwIfAborted()
    if (refused) return 'held'
    const after = await timeExceeded()
    if (before === undefined || after === undefined || after - before !== count) return 'unknown'
  }
  return 'beyond'
}

/** Returns the number of datagrams for each window. The first window has at least one, because most routers answer for
 * their own address at once. */
function spread(total: number, random: (bound: number) => number): readonly number[] {
  const counts: number[] = Array.from({ length: windows }, (_, index) => (index === 0 ? 1 : 0))
  const silent = new Set<number>()
  while (silent.size < minSilent) silent.add(1 + random(windows - 1))
  const open = [...counts.keys()].filter((index) => !silent.has(index))
  for (let left = total - 1; left > 0; left--) {
    const index = open[random(open.length)] ?? 0
    counts[index] = (counts[index] ?? 0) + 1
  }
  return counts
}

/** The remainder is even to one part in 2^24: the bounds are below 256. */
const randomBelow = (bound: number): number => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % bound

/** Creates the `doubt` option of `createTraversal`. The function resolves to `DOUBLE_NAT` for an external address that
 * lies behind the router that claims it (the router is behind another NAT, or lies), and to undefined if nothing
 * contradicts the claim. It rejects with the signal's reason. */
export const checkFirstHop =
  (clock: Clock): ((address: string, call: CallOptions) => Promise<NatError | undefined>) =>
  async (address, call) => {
    if ((await isOnFirstHop(address, { clock }, call)) !== 'beyond') return undefined
    return natError('DOUBLE_NAT', `the router says that ${address} is its own, but that address lies beyond it`)
  }

/** Parses the number of received "time exceeded" messages from `/proc/net/snmp`: the first `Icmp:` line names the
 * columns, the second has the values. Undefined if there is none. */
export function parseTimeExceeded(snmp: string): number | undefined {
  const [names, values] = snmp
    .split('\n')
    .filter((line) => line.startsWith('Icmp:'))
    .map((line) => line.split(' '))
  const column = names?.indexOf('InTimeExcds') ?? -1
  const value = Number(values?.[column])
  return column < 0 || !Number.isInteger(value) ? undefined : value
}

const readTimeExceeded = async (): Promise<number | undefined> => {
  try {
    return parseTimeExceeded(nodeFs().readFileSync('/proc/self/net/snmp', 'utf8'))
  } catch {
    return undefined
  }
}

/** The first of the ports that traceroute uses: routers expect such datagrams, and run no services on these ports. */
const firstPort = 33_434
const ports = 100
const maxBytes = 32

/** Sends each datagram from its own socket, so that a refusal can be matched to it. Resolves to true at the first
 * refusal. Ports and contents are random. */
async function probeWithSockets(address: string, count: number, { signal }: CallOptions): Promise<boolean> {
  const sockets = Array.from({ length: count }, () => createSocket('udp4'))
  const leaveLists = sockets.map(addHandle)
  let isOver = false
  try {
    return await new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(false), { once: true })
      for (const socket of sockets) {
        const failed = (error: Error): void => {
          if ('code' in error && error.code === 'ECONNREFUSED') resolve(true)
        }
        socket.on('error', failed)
        // The callback gets an error if there is no route to the address, and is also called after the socket was
        // closed. It must not throw: that would end the process.
        socket.connect(firstPort + randomBelow(ports), address, (error?: Error) => {
          if (error !== undefined || isOver) return
          socket.setTTL(1)
          socket.send(
            crypto.getRandomValues(new Uint8Array(randomBelow(maxBytes))),
            (unsent) => unsent && failed(unsent)
          )
        })
      }
    })
  } finally {
    isOver = true
    for (const leaveList of leaveLists) leaveList()
    for (const socket of sockets) socket.close()
  }
}
