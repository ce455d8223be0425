import { randomInt } from 'node:crypto'
import type { Connection, IdentifyResult } from '@libp2p/interface'
import { type CallOptions, type Family, natError, within } from '@postern/interface'
import { upgradeSocket } from '../dial/libp2p-upgrade.js'
import { type Target, targetOf } from '../dial/targets.js'
import { type Connect, connectFrom } from '../dial/tcp-dial.js'
import type { HolePunchHost } from '../host.js'
import type { Mapping } from './mapping.js'
import type { PortObserver } from './port-observers.js'

/** A local port without a listener, with its external address. */
export interface PunchPort {
  readonly localPort: number
  readonly external: Target
}

/** The ports for one round. */
export interface PunchPorts {
  readonly ports: readonly PunchPort[]
  /** Closes the connections that keep the NAT mappings of the ports alive. */
  release(): void
}

/** A range below the ephemeral ports of operating systems and above the ports of services. */
const firstPort = 20_000
const lastPort = 32_000
/** Time limit for one observation (ms): a connection, its three negotiations and identify, about five round trips. */
const observeMs = 6000
const maxTries = 3
/** Time limit for observing a fresh port (ms); the peer gives up after 15 s. */
const showMs = 10_000

/**
 * Opens connections from fresh local ports to observers and resolves with the external addresses that these report.
 *
 * The ports must be fresh: a listening port cannot be dialled from, and the state that an earlier round has left on the
 * routers would interfere. Rejects with `EXTERNAL_ADDRESS_UNKNOWN` if no observer reports an address, or with the
 * signal's reason.
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
    for (const { connection } of seen) connection?.abort(new Error('the port was observed'))
  }
  if (call.signal.aborted) release()
  call.signal.throwIfAborted()
  if (seen.length > 0) return { ports: seen.map(({ port }) => port), release }
  const [first] = shown
  throw natError('EXTERNAL_ADDRESS_UNKNOWN', 'no connected peer reports the external address of a port of this host', {
    cause: first?.status === 'rejected' ? first.reason : undefined
  })
}

interface Seen {
  readonly port: PunchPort
  /** The connection that keeps the NAT mapping alive; undefined if that is not needed. */
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
  // A local port may be in use, or a packet lost, so a single observer is asked twice.
  const asked = first !== undefined && observers.length === 1 ? [first, first] : observers.slice(0, maxTries)
  const late = (): Error => natError('NO_REPLY', `no peer reported the external address of a port within ${showMs} ms`)
  return within(host.clock, showMs, call, late, async (bounded) => {
    for (const observer of asked) {
      try {
        return await showPort(host, connect, observer, randomInt(firstPort, lastPort), bounded)
      } catch (error) {
        bounded.signal.throwIfAborted()
        last = error
      }
    }
    throw last ?? natError('NO_SERVICE', 'there is no peer that could observe a port')
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
  const late = (): Error =>
    natError('NO_REPLY', `the peer did not report the external address of a port within ${observeMs} ms`)
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
      const drop = (): void => connection.abort(new Error('the observation was aborted'))
      call.signal.addEventListener('abort', drop, { once: true })
      if (call.signal.aborted) drop()
      const { observedAddr } = await result
      const external = observedAddr && targetOf(observedAddr.bytes)
      if (external !== undefined && external.family === target.family) {
        const port = { localPort, external }
        if (external.port !== localPort) return { port, connection }
        // A NAT that keeps port numbers will use the same port again, so close the connection. libp2p pings all
        // connections at the same time. go-libp2p resets the ping of the third connection, and js-libp2p then ends that
        // connection, which may be the one to the relay.
        connection.abort(new Error('the port was observed'))
        return { port, connection: undefined }
      }
      connection.abort(new Error('the peer did not report the external address of the port'))
      throw natError('EXTERNAL_ADDRESS_UNKNOWN', 'the peer did not report the external address of a port')
    })
  } finally {
    components.events.removeEventListener('peer:identify', identified)
  }
}

/** One port, as two peers observe it. */
export interface Compared {
  readonly mapping: Mapping
  /** The port as the first observer sees it. */
  readonly port: PunchPort
}

/**
 * Resolves with how the NAT maps one local port for two destinations (RFC 4787 §4.1, RFC 5382 §4.1), that is, whether
 * both observe the same address. Resolves with undefined unless two observers on distinct networks report it.
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
  for (const { connection } of seen) connection?.abort(new Error('the port was observed'))
  const [one, other] = seen.map(({ port }) => port)
  if (one === undefined || other === undefined) return undefined
  const isSame = one.external.host === other.external.host && one.external.port === other.external.port
  return { mapping: isSame ? 'endpoint-independent' : 'address-and-port-dependent', port: one }
}

/** Returns ports without an observation. This is possible if the NAT is known to keep port numbers. */
export function keptPorts(host: string, family: Family, count: number): readonly PunchPort[] {
  return Array.from({ length: count }, () => {
    const localPort = randomInt(firstPort, lastPort)
    return { localPort, external: { host, port: localPort, family } }
  })
}
