import { randomBytes, randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { anySignal, type CallOptions, type Clock, familyOf, type NatError, natError } from '@postern/interface'
import { addHandle } from './handles.js'

export interface FirstHopOptions {
  readonly clock: Clock
  /** How many ICMP "time exceeded" messages this host has received; undefined where the system does not tell.
   * @default `/proc/net/snmp` */
  readonly timeExceeded?: () => Promise<number | undefined>
  /** Sends so many datagrams that no router hands on, and listens until the signal aborts. Resolves to whether the address
   * refused one.
   * @default real sockets with a TTL of 1 */
  readonly probe?: (address: string, count: number, call: CallOptions) => Promise<boolean>
  /** A whole number from 0 up to, and without, the bound. A neighbour must not be able to tell it beforehand.
   * @default that of `node:crypto` */
  readonly random?: (bound: number) => number
}

/** Linux answers a host with six such messages at once, and with one a second after that (icmp_ratelimit). */
const datagrams = { first: 5, again: 3 } as const
/** How many windows the datagrams are spread over, and how many of these stay empty at least. */
const windows = 6
const minSilent = 2
/** Each window is one of these, chosen at random, in ms. */
const window = { minMs: 50, maxMs: 80 } as const
/** Until the router answers as many again, in ms. */
const pauseMs = 2200

/**
 * Whether an IPv4 address is the next hop's own, found out with a handful of datagrams that no router hands on (TTL 1).
 *
 * A router answers for its own address, or is silent; for an address beyond it, it answers that the time to live is
 * exceeded (RFC 1812 §5.2.7.3). `held`: the address itself answered. `beyond`: it lies behind the next hop, so the router
 * that claimed it has another NAT before it, or lies. `unknown`: neither was seen. Only Linux tells how many of those
 * messages came in, so `beyond` is found nowhere else. Rejects with the signal's reason.
 *
 * The count says nothing of where a message came from, and any host of the link can forge them. So the datagrams are spread
 * over windows of random length in a random way, some of which stay empty, and the count must fit in each: as many
 * messages as datagrams, and none in the empty ones. Where it does, the same is done once more, in another way, some
 * seconds later. Whatever does not fit, once, is `unknown`.
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
    const cut = anySignal([call.signal, over.signal])
    const waitMs = window.minMs + random(window.maxMs - window.minMs + 1)
    const limit = clock.sleep(waitMs, { signal: cut }).then(
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

/** How many datagrams each window gets. The first has one, since most routers answer for their own address at once. */
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

const randomBelow = (bound: number): number => randomInt(bound)

/** Doubts an external address that lies beyond the router which claims it: another router translates before it, or it
 * lies. What it gives is the `doubt` of `createTraversal`; it resolves to undefined where nothing speaks against the
 * address. */
export const doubtBeyondFirstHop =
  (clock: Clock): ((address: string, call: CallOptions) => Promise<NatError | undefined>) =>
  async (address, call) => {
    if ((await isOnFirstHop(address, { clock }, call)) !== 'beyond') return undefined
    return natError('DOUBLE_NAT', `the router says that ${address} is its own, but that address lies beyond it`)
  }

/** `Icmp: … InTimeExcds …` names the columns, the next such line has the values. */
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
    return parseTimeExceeded(await readFile('/proc/self/net/snmp', 'utf8'))
  } catch {
    return undefined
  }
}

/** traceroute's ports: routers expect such datagrams, and no service of theirs is there. */
const firstPort = 33_434
const ports = 100
const maxBytes = 32

/** One socket a datagram, so that a refusal is the answer to it. Ends with the first. Ports and bytes are others each time. */
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
        // Called with an error where there is no way to the address (any more), and after the socket was closed: what a
        // callback throws ends the process.
        socket.connect(firstPort + randomInt(ports), address, (error?: Error) => {
          if (error !== undefined || isOver) return
          socket.setTTL(1)
          socket.send(randomBytes(randomInt(maxBytes)), (unsent) => unsent && failed(unsent))
        })
      }
    })
  } finally {
    isOver = true
    for (const leaveList of leaveLists) leaveList()
    for (const socket of sockets) socket.close()
  }
}
