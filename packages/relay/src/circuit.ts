import type { Listener, PeerId, Transport } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { MultiaddrText } from '@postern/interface'
import type { RelayComponents } from './host.js'

/** The part of circuitRelayTransport() that accepts what relays hand on, and has its own book of reservations. */
interface CircuitTransport extends Transport {
  readonly reservationStore: EventTarget
}

/** Accepting connections through relays. */
export interface Circuit {
  /** Has connections through the relay accepted, and its addresses announced. Resolves to them, as multiaddr text. */
  accept(relay: PeerId): Promise<readonly MultiaddrText[]>
  /** Accepts none through that relay any more. The others stay. */
  refuse(relay: PeerId): Promise<void>
  /** Called with a relay through which nothing can come any more, until the signal aborts. */
  onLost(lost: (relay: string) => void, signal: AbortSignal): void
}

/** Throws a TypeError where `circuitRelayTransport()` is missing: without it nobody accepts what a relay hands on. */
export function createCircuit({ transportManager, peerStore }: RelayComponents): Circuit {
  const transport = transportManager.getTransports().find(isCircuitTransport)
  if (transport === undefined) {
    throw new TypeError('relay() needs circuitRelayTransport() of @libp2p/circuit-relay-v2 among the transports')
  }
  const { reservationStore } = transport
  const listeners = new Map<string, Listener>()
  const addressOf = (relay: PeerId | string): Multiaddr => multiaddr(`/p2p/${relay.toString()}/p2p-circuit`)

  /** One listener a relay, for good: each new one would leave its event listeners behind in the transport. */
  async function listen(relay: PeerId): Promise<void> {
    const known = listeners.get(relay.toString())
    if (known !== undefined && transportManager.getListeners().includes(known)) {
      await known.listen(addressOf(relay))
      return
    }
    const before = new Set(transportManager.getListeners())
    try {
      await transportManager.listen([addressOf(relay)])
    } finally {
      const made = transportManager.getListeners().find((each) => !before.has(each))
      if (made !== undefined) listeners.set(relay.toString(), made)
    }
  }

  const listenersOf = (relay: string): readonly Listener[] =>
    transportManager.getListeners().filter((listener) => listener.getAddrs().some(isThrough(relay)))

  return {
    async accept(relay) {
      await listen(relay)
      // Also those of a listener that the transport made by itself, when somebody came through that relay before.
      return listenersOf(relay.toString())
        .flatMap((listener) => listener.getAddrs().filter(isThrough(relay.toString())))
        .map((address): MultiaddrText => `/${address.toString().slice(1)}`)
    },
    async refuse(relay) {
      const mine = listeners.get(relay.toString())
      listeners.delete(relay.toString())
      const others = listenersOf(relay.toString()).filter((listener) => listener !== mine)
      for (const listener of mine === undefined ? others : [mine, ...others]) await listener.close()
      await peerStore.merge(relay, { tags: { [keepAliveTag]: undefined } }).catch(() => undefined)
      // Closing one makes the transport forget its reservations with all relays, which it would then not renew.
      for (const [id, other] of listeners) await other.listen(addressOf(id)).catch(() => undefined)
    },
    onLost(lost, signal) {
      const removed = (event: Event): void => {
        if (event instanceof CustomEvent) lost(String(event.detail?.relay))
      }
      reservationStore.addEventListener('relay:removed', removed)
      signal.addEventListener('abort', () => reservationStore.removeEventListener('relay:removed', removed), {
        once: true
      })
    }
  }
}

const isThrough =
  (relay: string) =>
  (address: Multiaddr): boolean =>
    address.toString().endsWith(`/p2p/${relay}/p2p-circuit`)

/** What circuitRelayTransport() keeps the connection to a relay with. */
const keepAliveTag = 'keep-alive-circuit-relay'

const isCircuitTransport = (transport: Transport): transport is CircuitTransport =>
  transport[Symbol.toStringTag] === '@libp2p/circuit-relay-v2-transport' &&
  'reservationStore' in transport &&
  transport.reservationStore instanceof EventTarget
