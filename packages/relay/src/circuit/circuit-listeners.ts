import type { Listener, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { abortReason, isNatError, type MultiaddrText, natError, orAborted } from '@postern/interface'
import { isDirect } from '@postern/libp2p-utils'
import { lifetimeOf } from '../client/lifetime.js'
import type { RelayHost } from '../host.js'
import type { ReserveReply } from '../wire/hop.js'
import type { Acceptance, Circuit } from './circuit.js'
import { createListenOnce } from './listen-once.js'
import { overhearReserve, reasonOf, refusedTransport } from './overheard-reserve.js'
import {
  admitAgain,
  type CircuitTransport,
  circuitTransportOf,
  keepAliveTag,
  type ReservationBook
} from './reservation-store.js'
import { screenStops } from './screen-stops.js'
import { screenReservations } from './told-addresses.js'

interface Held {
  readonly relay: PeerId
  listener: Listener | undefined
  /** Identifies the latest `accept`. */
  holder: object
  /** Aborts when the relay is released. */
  readonly controller: AbortController
  /** What the relay has last answered to the transport. */
  reply: ReserveReply | undefined
}

/** How many released relays are remembered, because their reservations still run there. The oldest are forgotten. */
const maxLeft = 64

/** One circuit per reservation book; otherwise two strategies on one node would remove each other's reservations. */
const circuits = new WeakMap<ReservationBook, Circuit>()

/** Returns the circuit of this node. Throws a TypeError if `circuitRelayTransport()` is missing. */
export function circuitOf(host: RelayHost): Circuit {
  const transport = circuitTransportOf(host.components)
  const circuit = circuits.get(transport.reservationStore) ?? createCircuit(host, transport)
  circuits.set(transport.reservationStore, circuit)
  return circuit
}

/**
 * Never closes the transport's listeners. To close one would make the transport forget its reservations with all relays
 * and leave event listeners behind, and a second close would remove another listener from the node's list. Instead,
 * listeners are emptied, as the transport does when it loses a relay, and reused.
 */
function createCircuit({ clock, components }: RelayHost, transport: CircuitTransport): Circuit {
  const { reservationStore: book } = transport
  const { transportManager, connectionManager, peerStore, events } = components
  const held = new Map<string, Held>()
  const underWay = new Map<string, Promise<void>>()
  /** Unused listeners, with the relay that each was used for. */
  const idle = new Map<Listener, string>()
  /** Released relays, with the number of reservations that the transport has made there since. */
  const left = new Map<string, number>()
  const transportListen = createListenOnce(clock)
  let last: Promise<void> = Promise.resolve()
  let isOurDoing = false
  let watchers = 0
  /** The configured addresses of each relay. */
  const named = new Map<string, readonly Multiaddr[]>()
  // A released relay may still forward connections while its reservation lasts.
  screenStops(transport, (relay) => held.has(relay) || left.has(relay))
  screenReservations(
    book,
    (relay) => connectionManager.getConnections().filter(({ remotePeer }) => remotePeer.toString() === relay),
    (relay) => named.get(relay) ?? []
  )

  const isHeld = (entry: Held): boolean => held.get(idOf(entry)) === entry
  const addressesThrough = (relay: string): readonly Multiaddr[] =>
    transportManager.getListeners().flatMap((listener) => listener.getAddrs().filter(isThrough(relay)))

  /**
   * Takes an unused listener: one of this relay, or one without addresses. Others may still announce their old relay.
   */
  function takeIdle(relay: string): Listener | undefined {
    const all = [...idle].filter(([listener]) => transportManager.getListeners().includes(listener))
    const [listener] = all.find(([, id]) => id === relay) ?? all.find(([each]) => each.getAddrs().length === 0) ?? []
    if (listener !== undefined) idle.delete(listener)
    return listener
  }

  /** Makes the transport listen: it requests a reservation of its own and announces the addresses in the answer. */
  async function listenOnce(entry: Held): Promise<void> {
    // Without a connection the transport would dial the relay itself.
    if (!connectionManager.getConnections(entry.relay).some(isDirect)) {
      throw natError('NO_REPLY', 'the relay is not connected')
    }
    const address = multiaddr(`/p2p/${idOf(entry)}/p2p-circuit`)
    entry.listener ??= takeIdle(idOf(entry))
    const known = transportManager.getListeners()
    // After a restart of the node, the old listener is no longer in the list.
    if (entry.listener !== undefined && known.includes(entry.listener)) return entry.listener.listen(address)
    const opening = transportManager.listen([address])
    entry.listener = transportManager.getListeners().find((each) => !known.includes(each))
    return opening
  }

  async function listen(entry: Held): Promise<void> {
    // Try twice: if another relay is released meanwhile, the transport forgets this reservation too.
    for (let turns = 2; turns > 0 && isHeld(entry); turns--) {
      if (book.hasReservation(entry.relay)) {
        if (addressesThrough(idOf(entry)).length > 0) return
        // The transport considers the addresses announced and would do nothing.
        void forget(entry.relay)
      }
      const overheard = overhearReserve(connectionManager.getConnections(entry.relay).filter(isDirect))
      try {
        await transportListen.run(() => listenOnce(entry), entry.controller)
      } catch (error) {
        overheard.cancel()
        admitAgain(book, entry.relay)
        throw reasonOf(overheard.outcome() ?? {}, error, clock)
      } finally {
        overheard.stop()
      }
      entry.reply = overheard.outcome()?.reply ?? entry.reply
      if (book.hasReservation(entry.relay)) return
    }
  }

  /** Clears up behind an entry that was released while the transport was listening for it. */
  function clearUp(entry: Held): void {
    if (isHeld(entry)) return
    if (!held.has(idOf(entry))) void forget(entry.relay)
    if (entry.listener !== undefined) idle.set(entry.listener, idOf(entry))
  }

  /** Makes the transport listen at that relay, after it has done so at others. */
  function begin(entry: Held): Promise<void> {
    const id = idOf(entry)
    // A renewal must not wait for another relay that is silent.
    if (!underWay.has(id) && book.hasReservation(entry.relay) && addressesThrough(id).length > 0)
      return Promise.resolve()
    const work: Promise<void> = last
      .then(() => listen(entry))
      .finally(() => {
        if (underWay.get(id) === work) underWay.delete(id)
        if (!isHeld(entry)) void transportListen.settled().then(() => clearUp(entry))
      })
    underWay.set(id, work)
    last = work.catch(() => undefined)
    return work
  }

  /** Withdraws the announced addresses of that relay. */
  function empty(relay: PeerId): void {
    isOurDoing = true
    book.dispatchEvent(new CustomEvent('relay:removed', { detail: { relay } }))
    isOurDoing = false
    peerStore.merge(relay, { tags: { [keepAliveTag]: undefined } }).catch(() => undefined)
  }

  /** Makes the transport forget that relay, and restores the reservations at the others. */
  function forget(relay: PeerId): readonly Promise<void>[] {
    const isKnown = book.hasReservation(relay)
    if (isKnown) book.cancelReservations()
    empty(relay)
    if (!isKnown) return []
    for (const id of left.keys()) left.set(id, 0)
    const others = [...held.values()].filter((each) => !each.relay.equals(relay) && !underWay.has(idOf(each)))
    return others.map((each) => begin(each).catch(() => undefined))
  }

  function release(entry: Held): readonly Promise<void>[] {
    const id = idOf(entry)
    held.delete(id)
    entry.controller.abort(released)
    left.set(id, 0)
    if (left.size > maxLeft) left.delete([...left.keys()][0] ?? id)
    const restored = forget(entry.relay)
    if (!underWay.has(id) && entry.listener !== undefined) idle.set(entry.listener, id)
    return restored
  }

  function created(event: Event): void {
    const made = left.get(relayOf(event))
    if (made !== undefined) left.set(relayOf(event), made + 1)
  }

  /**
   * Withdraws addresses of a released relay. The transport announces them again when a peer connects through that
   * relay.
   */
  function listening({ detail: listener }: CustomEvent<Listener>): void {
    for (const [id, made] of left) {
      const isUnwanted = !held.has(id) && !underWay.has(id) && listener.getAddrs().some(isThrough(id))
      const relay = connectionManager
        .getConnections()
        .find(({ remotePeer }) => remotePeer.toString() === id)?.remotePeer
      if (!isUnwanted || relay === undefined) continue
      idle.set(listener, id)
      // Keep the reservation until the transport renews it; otherwise the transport would request one for every peer
      // that connects.
      if (made > 1) void forget(relay)
      else empty(relay)
    }
  }

  function acceptanceOf(entry: Held, holder: object, lifetimeMs: number): Acceptance {
    const id = idOf(entry)
    const isMine = (): boolean => isHeld(entry) && entry.holder === holder
    const addresses = addressesThrough(id).map((address): MultiaddrText => `/${address.toString().slice(1)}`)
    return {
      addresses: [...new Set(addresses)],
      lifetimeMs,
      reply: entry.reply,
      async again(call) {
        if (!isMine()) throw natError('NO_REPLY', 'the reservation was released')
        await orAborted(begin(entry), call).catch((error: unknown) => {
          call.signal.throwIfAborted()
          throw isNatError(error) ? error : refusedTransport(error)
        })
        return check(entry, holder)
      },
      async refuse({ signal }) {
        const restored = isMine() ? release(entry) : []
        await orAborted(Promise.allSettled([underWay.get(id), ...restored]), { signal }).catch(() => undefined)
      }
    }
  }

  function check(entry: Held, holder: object): Acceptance {
    try {
      const granted = isHeld(entry) ? book.getReservation(entry.relay) : undefined
      if (granted === undefined) throw natError('NO_REPLY', 'the reservation was lost immediately')
      const acceptance = acceptanceOf(entry, holder, lifetimeOf(Number(granted.expire), clock))
      if (acceptance.addresses.length > 0) return acceptance
      throw natError('GRANT_INVALID', 'the relay granted a reservation but reported no address that may be announced')
    } catch (error) {
      if (isHeld(entry)) void release(entry)
      throw error
    }
  }

  return {
    name(relays) {
      for (const { id, addresses } of relays) named.set(id, [...(named.get(id) ?? []), ...addresses])
    },
    async accept(relay, call) {
      call.signal.throwIfAborted()
      const id = relay.toString()
      const holder = {}
      const entry = held.get(id) ?? newEntry(relay, holder)
      entry.holder = holder
      held.set(id, entry)
      left.delete(id)
      try {
        await orAborted(begin(entry), call)
      } catch (error) {
        if (isHeld(entry) && entry.holder === holder) void release(entry)
        call.signal.throwIfAborted()
        throw error
      }
      return check(entry, holder)
    },
    watch(lost, signal) {
      const removed = (event: Event): void => {
        if (!isOurDoing) lost(relayOf(event))
      }
      book.addEventListener('relay:removed', removed)
      watchers++
      if (watchers === 1) {
        book.addEventListener('relay:created-reservation', created)
        events.addEventListener('transport:listening', listening)
      }
      const stop = (): void => {
        book.removeEventListener('relay:removed', removed)
        watchers--
        if (watchers > 0) return
        book.removeEventListener('relay:created-reservation', created)
        events.removeEventListener('transport:listening', listening)
      }
      signal.addEventListener('abort', stop, { once: true })
    }
  }
}

const newEntry = (relay: PeerId, holder: object): Held => ({
  relay,
  listener: undefined,
  holder,
  controller: new AbortController(),
  reply: undefined
})

const released = abortReason('the relay was released')

const relayOf = (event: Event): string => (event instanceof CustomEvent ? String(event.detail?.relay) : '')

const idOf = ({ relay }: Held): string => relay.toString()

const isThrough =
  (relay: string) =>
  (address: Multiaddr): boolean =>
    address.toString().endsWith(`/p2p/${relay}/p2p-circuit`)
