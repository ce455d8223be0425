import type { Connection, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import {
  type CallOptions,
  type Finding,
  type Lease,
  type MultiaddrText,
  natError,
  type Relay,
  type Strategy
} from '@postern/interface'
import { createCircuit } from './circuit.js'
import { isDialledDirectly, networkOfConnection } from './direct.js'
import type { RelayHost } from './host.js'
import { limitsOf } from './limits.js'
import { createRelayPeers } from './peers.js'
import { redialMs } from './redial.js'
import { requestReservation } from './reserve.js'
import { walk } from './walk.js'

export interface RelayOptions {
  /** Relays to use, as multiaddr text that ends in `/p2p/<peer id>`. They are dialled and kept connected.
   * @default none: peers that are connected and serve as relays */
  readonly relays?: readonly MultiaddrText[]
  /** How many reservations to hold, on distinct networks.
   * @default 2 */
  readonly count?: number
  /** Whether to look for more relays by peer routing where fewer than `count` are connected.
   * @default true */
  readonly discover?: boolean
}

/**
 * Reservations at circuit relays (libp2p circuit relay v2), through `circuitRelayTransport()`.
 *
 * Finds the relays that were named and every connected peer that serves as one. A lease is a reservation: its addresses
 * lead through the relay and are announced as long as it lives. Throws a TypeError for options that cannot be right, and
 * when the ladder is made on a node without `circuitRelayTransport()`.
 */
export function relay(options: RelayOptions = {}): Strategy<RelayHost> {
  const { relays = [], count = 2, discover = true } = options
  if (!Number.isInteger(count) || count < 1) throw new TypeError(`count is not 1 or more: ${count}`)
  const named = relays.map(parseRelay)
  return (host) => {
    const { components } = host
    const circuit = createCircuit(components)
    const peers = createRelayPeers(components)

    return {
      name: 'relay',
      kind: 'relay',
      count,
      async discover(_network, found, { signal }) {
        const offered = new Map<string, Relay>()
        const came = (connection: Connection): void => {
          const id = connection.remotePeer.toString()
          const ability = abilityOf(connection)
          if (ability === undefined || id === components.peerId.toString()) return
          offered.set(id, ability)
          found(ability)
        }
        const went = (id: string): void => {
          const ability = offered.get(id)
          if (ability === undefined) return
          offered.delete(id)
          found({ kind: 'notice', what: 'gone', about: ability })
        }
        circuit.onLost((id) => lost(id, offered, found), signal)
        await peers.watch(came, went, signal)
        const enough = (): boolean => offered.size >= count
        await Promise.all([
          ...named.map((address) => keepConnected(address, { signal })),
          discover ? walk(host, enough, { signal }) : undefined,
          host.clock.sleep(patienceMs, { signal }).then(
            () => (offered.size === 0 ? found(nobody()) : undefined),
            () => undefined
          ),
          untilAborted(signal)
        ])
      }
    }

    /** The reservation ended, and the relay may still be there: it is asked again like one that has just been found. */
    function lost(id: string, offered: ReadonlyMap<string, Relay>, found: (finding: Finding) => void): void {
      const ability = offered.get(id)
      if (ability === undefined) return
      found({ kind: 'notice', what: 'gone', about: ability })
      if (components.connectionManager.getConnections().some((each) => isTo(each, id))) found(ability)
    }

    /** Dials a relay whenever it is not connected. */
    async function keepConnected(address: Multiaddr, { signal }: CallOptions): Promise<void> {
      const id = peerIdOf(address)
      let failures = 0
      while (!signal.aborted) {
        const connected = components.connectionManager.getConnections().some((each) => isTo(each, id))
        if (connected) {
          failures = 0
          await disconnected(id, signal)
          continue
        }
        const bounded = AbortSignal.any([signal, AbortSignal.timeout(dialMs)])
        try {
          await components.connectionManager.openConnection(address, { signal: bounded, priority: 75 })
        } catch (error) {
          host.log.debug(`relay ${id} cannot be dialled: ${String(error)}`)
          await host.clock.sleep(redialMs(++failures) * (0.8 + host.random() * 0.4), { signal }).catch(() => undefined)
        }
      }
    }

    function disconnected(id: string, signal: AbortSignal): Promise<void> {
      return new Promise((resolve) => {
        const over = new AbortController()
        const end = (): void => {
          over.abort()
          resolve()
        }
        const closed = ({ detail }: CustomEvent<Connection>): void => {
          if (detail.remotePeer.toString() === id) end()
        }
        components.events.addEventListener('connection:close', closed, { signal: over.signal })
        signal.addEventListener('abort', end, { once: true, signal: over.signal })
      })
    }

    function abilityOf(connection: Connection): Relay | undefined {
      const network = networkOfConnection(connection)
      if (network === undefined) return undefined
      const { remotePeer, rtt } = connection
      return {
        kind: 'relay',
        party: { id: remotePeer.toString(), network, ...(rtt === undefined ? {} : { rttMs: rtt }) },
        async reserve(call) {
          const lease = await reserveAt(remotePeer, call)
          const addresses = await circuit.accept(remotePeer)
          if (call.signal.aborted) await circuit.refuse(remotePeer)
          call.signal.throwIfAborted()
          return leaseOf(remotePeer, addresses, lease)
        }
      }
    }

    async function reserveAt(peer: PeerId, call: CallOptions): Promise<Granted> {
      const connection = components.connectionManager.getConnections(peer).find(isDialledDirectly)
      if (connection === undefined) throw natError('NO_REPLY', 'the relay is not connected')
      const { expiresAt, limit } = await requestReservation(connection, call)
      const { metadata } = await components.peerStore.get(peer)
      const agent = metadata.get('AgentVersion')
      const limits = limitsOf(limit, agent === undefined ? undefined : new TextDecoder().decode(agent))
      return { lifetimeMs: expiresAt - host.clock.wallMs(), limits }
    }

    function leaseOf(peer: PeerId, addresses: readonly MultiaddrText[], { lifetimeMs, limits }: Granted): Lease {
      let released: Promise<void> | undefined
      return {
        addresses,
        lifetimeMs,
        ...(limits === undefined ? {} : { limits }),
        renew: async (call) => leaseOf(peer, await circuit.accept(peer), await reserveAt(peer, call)),
        release() {
          released ??= circuit.refuse(peer)
          return released
        }
      }
    }
  }
}

interface Granted {
  readonly lifetimeMs: number
  readonly limits: Lease['limits']
}

/** Peers are dialled, and tell what they speak, in less time than this, in ms. */
const patienceMs = 2000
/** A relay that does not answer for so long is away, in ms. */
const dialMs = 5000

const isTo = (connection: Connection, id: string): boolean =>
  connection.remotePeer.toString() === id && isDialledDirectly(connection)

const nobody = (): Finding => ({
  kind: 'notice',
  what: 'absent',
  gateway: null,
  reason: natError('NO_SERVICE', 'no connected peer serves as a relay')
})

function parseRelay(text: MultiaddrText): Multiaddr {
  let address: Multiaddr
  try {
    address = multiaddr(text)
  } catch (cause) {
    throw new TypeError(`not a multiaddr: ${text}`, { cause })
  }
  const parts = address.getComponents()
  if (parts.length < 2 || parts.at(-1)?.name !== 'p2p' || parts.some(({ name }) => name === 'p2p-circuit')) {
    throw new TypeError(`a relay is named by its address and peer id, as /ip4/…/tcp/…/p2p/<peer id>: ${text}`)
  }
  return address
}

const peerIdOf = (address: Multiaddr): string => address.getComponents().at(-1)?.value ?? ''

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
