import { randomInt } from 'node:crypto'
import type { Connection, IdentifyResult } from '@libp2p/interface'
import { type CallOptions, type Family, natError } from '@postern/interface'
import { within } from '@postern/net'
import type { HolePunchHost } from './host.js'
import type { Mapping } from './mapping.js'
import type { PortObserver } from './observers.js'
import { type Connect, connectFrom } from './sockets.js'
import { type Target, targetOf } from './targets.js'
import { upgradeSocket } from './upgrade.js'

/** A local port that nobody listens on, and where it can be met from outside. */
export interface PunchPort {
  readonly localPort: number
  readonly external: Target
}

/** Ports for one round. */
export interface PunchPorts {
  readonly ports: readonly PunchPort[]
  /** Lets go of what keeps the mappings of the NAT alive. */
  release(): void
}

/** Below the ports that systems give out by themselves, and above those of services. */
const firstPort = 20_000
const lastPort = 32_000
/** A connection, its three negotiations and identify: some five round trips, in ms. */
const observeMs = 6000
const mostTries = 3
/** The other side waits for 15 s until this one begins, in ms. */
const showMs = 10_000

/**
 * Shows fresh local ports to a peer, which says where they come from.
 *
 * Fresh, because a port that listens cannot be dialled from, and because what an earlier round has left on the routers would
 * be in the way. Rejects with `EXTERNAL_ADDRESS_UNKNOWN` where nobody tells, or with the signal's reason.
 */
export async function preparePorts(
  host: HolePunchHost,
  connect: Connect,
  observers: readonly PortObserver[],
  count: number,
  call: CallOptions
): Promise<PunchPorts> {
  const shown = await Promise.allSettled(
    Array.from({ length: count }, () => showFreshPort(host, connect, observers, call))
  )
  const seen = shown.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const release = (): void => {
    for (const { connection } of seen) connection?.abort(new Error('the port was seen'))
  }
  if (call.signal.aborted) release()
  call.signal.throwIfAborted()
  if (seen.length > 0) return { ports: seen.map(({ port }) => port), release }
  const [first] = shown
  throw natError('EXTERNAL_ADDRESS_UNKNOWN', 'no connected peer tells where a port of this host comes from', {
    cause: first?.status === 'rejected' ? first.reason : undefined
  })
}

interface Seen {
  readonly port: PunchPort
  /** What keeps the mapping of the NAT alive, where that is needed. */
  readonly connection: Connection | undefined
}

async function showFreshPort(
  host: HolePunchHost,
  connect: Connect,
  observers: readonly PortObserver[],
  call: CallOptions
): Promise<Seen> {
  let last: unknown
  const [first] = observers
  // A port can be taken, and a packet lost: whoever is alone is asked once more.
  const asked = first !== undefined && observers.length === 1 ? [first, first] : observers.slice(0, mostTries)
  const late = (): Error => natError('NO_REPLY', `no peer told within ${showMs} ms where a port comes from`)
  return within(host.clock, showMs, call, late, async (bounded) => {
    for (const observer of asked) {
      try {
        return await showPort(host, connect, observer, randomInt(firstPort, lastPort), bounded)
      } catch (error) {
        bounded.signal.throwIfAborted()
        last = error
      }
    }
    throw last ?? natError('NO_SERVICE', 'there is no peer to show a port to')
  })
}

async function showPort(
  host: HolePunchHost,
  connect: Connect,
  { peer, target }: PortObserver,
  localPort: number,
  { signal }: CallOptions
): Promise<Seen> {
  const { clock, components } = host
  const told = new Map<Connection, IdentifyResult>()
  let look = (): void => undefined
  const identified = ({ detail }: CustomEvent<IdentifyResult>): void => {
    if (!detail.peerId.equals(peer)) return
    told.set(detail.connection, detail)
    look()
  }
  const late = (): Error => natError('NO_REPLY', `a peer did not tell within ${observeMs} ms where a port comes from`)
  components.events.addEventListener('peer:identify', identified)
  try {
    return await within(clock, observeMs, { signal }, late, async (call) => {
      const socket = await connectFrom(connect, { localPort, target }, call)
      const connection = await upgradeSocket(host, socket, peer, 'client', () => undefined, call)
      const { promise: result, resolve } = Promise.withResolvers<IdentifyResult>()
      look = () => {
        const found = told.get(connection)
        if (found !== undefined) resolve(found)
      }
      look()
      const drop = (): void => connection.abort(new Error('no call waits for it any more'))
      call.signal.addEventListener('abort', drop, { once: true })
      if (call.signal.aborted) drop()
      const { observedAddr } = await result
      const external = observedAddr && targetOf(observedAddr.bytes)
      if (external !== undefined && external.family === target.family) {
        const port = { localPort, external }
        if (external.port !== localPort) return { port, connection }
        // A NAT that keeps the number gives it again. And libp2p pings every connection at the same moment: of more than two
        // go-libp2p resets a ping, and js-libp2p ends the connection where that happens, which can be the relay's own.
        connection.abort(new Error('the port was seen'))
        return { port, connection: undefined }
      }
      connection.abort(new Error('it does not tell where the port comes from'))
      throw natError('EXTERNAL_ADDRESS_UNKNOWN', 'a peer does not tell where a port comes from')
    })
  } finally {
    components.events.removeEventListener('peer:identify', identified)
  }
}

/** One port, as two peers see it. */
export interface Compared {
  readonly mapping: Mapping
  /** As the first of them sees it. */
  readonly port: PunchPort
}

/**
 * How the NAT maps one local port for two destinations (RFC 4787 §4.1, RFC 5382 §4.1): whether both see it at the same
 * place. Undefined where there are no two observers on distinct networks, or they do not tell.
 */
export async function comparePort(
  host: HolePunchHost,
  connect: Connect,
  observers: readonly PortObserver[],
  call: CallOptions
): Promise<Compared | undefined> {
  const [first] = observers
  const second = observers.find(
    ({ network, target }) => network !== first?.network && target.family === first?.target.family
  )
  if (first === undefined || second === undefined) return undefined
  const localPort = randomInt(firstPort, lastPort)
  const shown = await Promise.allSettled(
    [first, second].map((observer) => showPort(host, connect, observer, localPort, call))
  )
  const seen = shown.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  for (const { connection } of seen) connection?.abort(new Error('the port was seen'))
  const [one, other] = seen.map(({ port }) => port)
  if (one === undefined || other === undefined) return undefined
  const isSame = one.external.host === other.external.host && one.external.port === other.external.port
  return { mapping: isSame ? 'endpoint-independent' : 'address-and-port-dependent', port: one }
}

/** Ports that nobody was shown, where the NAT is known to keep their numbers: they are there at once. */
export function keptPorts(host: string, family: Family, count: number): readonly PunchPort[] {
  return Array.from({ length: count }, () => {
    const localPort = randomInt(firstPort, lastPort)
    return { localPort, external: { host, port: localPort, family } }
  })
}
