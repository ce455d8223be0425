import type { Listener, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, isNatError, type MultiaddrText, natError } from '@postern/interface'
import { orAborted, within } from '@postern/net'
import { isDirect } from './direct.js'
import type { RelayHost } from './host.js'
import type { Named } from './named.js'
import { type CircuitTransport, circuitTransportOf, keepAliveTag, type ReservationBook } from './reservation-book.js'
import { screenStops } from './screen-stops.js'
import { screenReservations } from './told-addresses.js'

/** Accepting connections through relays. */
export interface Circuit {
  /** Notes by which addresses the user has named relays: these may be announced, whatever a relay tells. */
  name(relays: readonly Named[]): void
  /** Has connections through the relay accepted, and its addresses announced. Rejects with `NO_REPLY`, `GRANT_INVALID`,
   * or with the signal's reason; then none are. */
  accept(relay: PeerId, call: CallOptions): Promise<Acceptance>
  /** Keeps watch until the signal aborts. Tells of a relay through which nothing can come any more. */
  watch(lost: (relay: string) => void, signal: AbortSignal): void
}

/** What goes on until it is refused. Once the relay was accepted anew, the acceptance before is of no effect. */
export interface Acceptance {
  readonly addresses: readonly MultiaddrText[]
  /** Makes sure that it still goes on. Gives what is in its place now. */
  again(call: CallOptions): Promise<Acceptance>
  /** Accepts none through that relay any more, at once. The others stay: resolves when that is certain, or when the signal
   * aborts. */
  refuse(call: CallOptions): Promise<void>
}

interface Held {
  readonly relay: PeerId
  listener: Listener | undefined
  /** Whoever accepted last. */
  holder: object
}

/** The transport gives up after 5 s; if it has not, it never will. In ms. */
const listenMs = 6000
/** How many relays are remembered that were let go and are not wanted. */
const mostLeft = 64

/** By the book that they work with: two strategies on one node would take each other's reservations for leftovers. */
const circuits = new WeakMap<ReservationBook, Circuit>()

/** The one of this node. Throws a TypeError where `circuitRelayTransport()` is missing. */
export function circuitOf(host: RelayHost): Circuit {
  const transport = circuitTransportOf(host.components)
  const circuit = circuits.get(transport.reservationStore) ?? createCircuit(host, transport)
  circuits.set(transport.reservationStore, circuit)
  return circuit
}

/**
 * The transport's listeners are never closed: closing one makes it forget its reservations with all relays, leaves event
 * listeners behind, and a second close takes another listener out of the node's list. They are emptied instead, as they are
 * when the transport itself loses a relay, and used again.
 */
function createCircuit({ clock, components }: RelayHost, transport: CircuitTransport): Circuit {
  const { reservationStore: book } = transport
  const { transportManager, connectionManager, peerStore, events } = components
  const held = new Map<string, Held>()
  const underWay = new Map<string, Promise<void>>()
  /** Listeners that nobody needs now, and the relay that each was for. */
  const idle = new Map<Listener, string>()
  /** Relays that were let go, and how often the transport has made a reservation there since. */
  const left = new Map<string, number>()
  let last: Promise<void> = Promise.resolve()
  let isOurDoing = false
  let watchers = 0
  /** By relay, the addresses that it was named by. */
  const named = new Map<string, readonly Multiaddr[]>()
  // A relay that was let go may go on to hand connections over, as long as its book says so.
  screenStops(transport, (relay) => held.has(relay) || left.has(relay))
  screenReservations(
    book,
    (relay) => connectionManager.getConnections().filter(({ remotePeer }) => remotePeer.toString() === relay),
    (relay) => named.get(relay) ?? []
  )

  const isHeld = (entry: Held): boolean => held.get(idOf(entry)) === entry
  const addressesThrough = (relay: string): readonly Multiaddr[] =>
    transportManager.getListeners().flatMap((listener) => listener.getAddrs().filter(isThrough(relay)))

  /** One that was for another relay still has that one's addresses if somebody came through it. */
  function takeIdle(relay: string): Listener | undefined {
    const all = [...idle].filter(([listener]) => transportManager.getListeners().includes(listener))
    const [listener] = all.find(([, id]) => id === relay) ?? all.find(([each]) => each.getAddrs().length === 0) ?? []
    if (listener !== undefined) idle.delete(listener)
    return listener
  }

  /** The transport asks the relay, too, and then announces the addresses that it is told. */
  async function listenOnce(entry: Held): Promise<void> {
    // It would dial the relay by itself, and where that fails never speak to it again.
    if (!connectionManager.getConnections(entry.relay).some(isDirect)) {
      throw natError('NO_REPLY', 'the relay is not connected')
    }
    const address = multiaddr(`/p2p/${idOf(entry)}/p2p-circuit`)
    entry.listener ??= takeIdle(idOf(entry))
    const known = transportManager.getListeners()
    // After a restart of the node it is not in the list any more.
    if (entry.listener !== undefined && known.includes(entry.listener)) return entry.listener.listen(address)
    const listening = transportManager.listen([address])
    entry.listener = transportManager.getListeners().find((each) => !known.includes(each))
    return listening
  }

  async function listen(entry: Held): Promise<void> {
    // Twice: where another one is let go meanwhile, this one is forgotten, too.
    for (let turns = 2; turns > 0 && isHeld(entry); turns--) {
      if (book.hasReservation(entry.relay)) {
        if (addressesThrough(idOf(entry)).length > 0) return
        // The transport believes that it is announced already, and would do nothing.
        void forget(entry.relay)
      }
      const late = (): Error => natError('NO_REPLY', `circuitRelayTransport() was not done within ${listenMs} ms`)
      await within(clock, listenMs, never, late, () => listenOnce(entry))
    }
  }

  /** Has the transport listen for that relay. One after the other: when it has one reservation it drops the requests for
   * others that wait, and they never settle. */
  function begin(entry: Held): Promise<void> {
    const id = idOf(entry)
    const work: Promise<void> = last
      .then(() => listen(entry))
      .finally(() => {
        if (underWay.get(id) === work) underWay.delete(id)
        if (isHeld(entry)) return
        if (!held.has(id)) void forget(entry.relay)
        if (entry.listener !== undefined) idle.set(entry.listener, id)
      })
    underWay.set(id, work)
    last = work.catch(() => undefined)
    return work
  }

  /** Withdraws the addresses of that relay. */
  function empty(relay: PeerId): void {
    isOurDoing = true
    book.dispatchEvent(new CustomEvent('relay:removed', { detail: { relay } }))
    isOurDoing = false
    peerStore.merge(relay, { tags: { [keepAliveTag]: undefined } }).catch(() => undefined)
  }

  /** Has the transport forget that relay, and take the others up again. */
  function forget(relay: PeerId): readonly Promise<void>[] {
    const isKnown = book.hasReservation(relay)
    if (isKnown) book.cancelReservations()
    empty(relay)
    if (!isKnown) return []
    for (const id of left.keys()) left.set(id, 0)
    const others = [...held.values()].filter((each) => !each.relay.equals(relay) && !underWay.has(idOf(each)))
    return others.map((each) => begin(each).catch(() => undefined))
  }

  function letGo(entry: Held): readonly Promise<void>[] {
    const id = idOf(entry)
    held.delete(id)
    left.set(id, 0)
    if (left.size > mostLeft) left.delete([...left.keys()][0] ?? id)
    const restored = forget(entry.relay)
    if (!underWay.has(id) && entry.listener !== undefined) idle.set(entry.listener, id)
    return restored
  }

  function created(event: Event): void {
    const made = left.get(relayOf(event))
    if (made !== undefined) left.set(relayOf(event), made + 1)
  }

  /** Where somebody comes through a reservation that the relay still has, the transport listens again by itself. */
  function listening({ detail: listener }: CustomEvent<Listener>): void {
    for (const [id, made] of left) {
      const isUnwanted = !held.has(id) && !underWay.has(id) && listener.getAddrs().some(isThrough(id))
      const relay = connectionManager
        .getConnections()
        .find(({ remotePeer }) => remotePeer.toString() === id)?.remotePeer
      if (!isUnwanted || relay === undefined) continue
      idle.set(listener, id)
      // It stays in the book until the transport renews it: or the relay would be asked for each one who comes.
      if (made > 1) void forget(relay)
      else empty(relay)
    }
  }

  function acceptanceOf(entry: Held, holder: object): Acceptance {
    const id = idOf(entry)
    const isMine = (): boolean => isHeld(entry) && entry.holder === holder
    const addresses = addressesThrough(id).map((address): MultiaddrText => `/${address.toString().slice(1)}`)
    return {
      addresses: [...new Set(addresses)],
      async again(call) {
        if (!isMine()) throw natError('NO_REPLY', 'the reservation was let go')
        await orAborted(begin(entry), call).catch((error: unknown) => fail(error, call))
        return check(entry, holder)
      },
      async refuse({ signal }) {
        const restored = isMine() ? letGo(entry) : []
        await orAborted(Promise.allSettled([underWay.get(id), ...restored]), { signal }).catch(() => undefined)
      }
    }
  }

  function check(entry: Held, holder: object): Acceptance {
    const acceptance = acceptanceOf(entry, holder)
    const { length } = acceptance.addresses
    const isThere = isHeld(entry) && book.hasReservation(entry.relay)
    if (isThere && length > 0) return acceptance
    if (isHeld(entry)) void letGo(entry)
    if (!isThere) throw natError('NO_REPLY', 'the reservation was lost at once')
    throw natError('GRANT_INVALID', 'the relay reserved, and told no address that it was reached at or named by')
  }

  return {
    name(relays) {
      for (const { id, addresses } of relays) named.set(id, [...(named.get(id) ?? []), ...addresses])
    },
    async accept(relay, call) {
      call.signal.throwIfAborted()
      const id = relay.toString()
      const holder = {}
      const entry = held.get(id) ?? { relay, listener: undefined, holder }
      entry.holder = holder
      held.set(id, entry)
      left.delete(id)
      try {
        await orAborted(begin(entry), call)
      } catch (error) {
        if (isHeld(entry) && entry.holder === holder) void letGo(entry)
        return fail(error, call)
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

function fail(cause: unknown, { signal }: CallOptions): never {
  signal.throwIfAborted()
  if (isNatError(cause)) throw cause
  throw natError('NO_REPLY', 'the relay reserved, and did not when circuitRelayTransport() asked', { cause })
}

const never: CallOptions = new AbortController()

const relayOf = (event: Event): string => (event instanceof CustomEvent ? String(event.detail?.relay) : '')

const idOf = ({ relay }: Held): string => relay.toString()

const isThrough =
  (relay: string) =>
  (address: Multiaddr): boolean =>
    address.toString().endsWith(`/p2p/${relay}/p2p-circuit`)
