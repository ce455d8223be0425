import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { type CallOptions, type Clock, familyOf, type NatError, natError } from '@postern/interface'

export interface FirstHopOptions {
  readonly clock: Clock
  /** How many ICMP "time exceeded" messages this host has received; undefined where the system does not tell.
   * @default `/proc/net/snmp` */
  readonly timeExceeded?: () => Promise<number | undefined>
  /** Sends so many datagrams that no router hands on, and listens until the signal aborts. Resolves to whether the address
   * refused one.
   * @default real sockets with a TTL of 1 */
  readonly probe?: (address: string, count: number, call: CallOptions) => Promise<boolean>
}

/** Two different counts: nothing else on this host happens to match both. */
const counts = [2, 3]
const waitMs = 60

/**
 * Whether an IPv4 address is the next hop's own, found out with a handful of datagrams that no router hands on (TTL 1).
 *
 * A router answers for its own address, or is silent; for an address beyond it, it answers that the time to live is
 * exceeded (RFC 1812 §5.2.7.3). `held`: the address itself answered. `beyond`: it lies behind the next hop, so whoever
 * claimed it as the router's has another NAT before it, or lies. `unknown`: neither was seen. Only Linux tells how many
 * of those messages came in, so `beyond` is found nowhere else. Rejects with the signal's reason.
 */
export async function isOnFirstHop(
  address: string,
  options: FirstHopOptions,
  call: CallOptions
): Promise<'held' | 'beyond' | 'unknown'> {
  if (familyOf(address) !== 4) return 'unknown'
  const { clock, timeExceeded = readTimeExceeded, probe = probeWithSockets } = options
  let exceeded = true
  for (const count of counts) {
    const before = await timeExceeded()
    const over = new AbortController()
    const cut = AbortSignal.any([call.signal, over.signal])
    const limit = clock.sleep(waitMs, { signal: cut }).then(
      () => over.abort(),
      () => over.abort()
    )
    const refused = await probe(address, count, over)
    over.abort()
    await limit
    call.signal.throwIfAborted()
    if (refused) return 'held'
    const after = await timeExceeded()
    exceeded &&= before !== undefined && after !== undefined && after - before === count
  }
  return exceeded ? 'beyond' : 'unknown'
}

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

/** One socket a datagram, so that a refusal is the answer to it. Ends with the first. */
async function probeWithSockets(address: string, count: number, { signal }: CallOptions): Promise<boolean> {
  const sockets = Array.from({ length: count }, () => createSocket('udp4'))
  try {
    return await new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(false), { once: true })
      for (const [index, socket] of sockets.entries()) {
        socket.on('error', (error) => {
          if ('code' in error && error.code === 'ECONNREFUSED') resolve(true)
        })
        // traceroute's range (33434 and up): routers expect such datagrams, and nobody listens there.
        socket.connect(33_434 + index, address, () => {
          socket.setTTL(1)
          socket.send(new Uint8Array(0))
        })
      }
    })
  } finally {
    for (const socket of sockets) socket.close()
  }
}
