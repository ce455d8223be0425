import type { Connection, PeerId } from '@libp2p/interface'
import {
  type CallOptions,
  type Finding,
  isNatError,
  type Lease,
  type NatError,
  natError,
  printable,
  type Relay,
  type RelayLimits,
  type RemoteParty,
  type Strategy,
  untilAborted,
  waitAtMost,
  within
} from '@postern/interface'
import { isDialledDirectly, waitForAgentVersion } from '@postern/libp2p-utils'
import type { Acceptance } from './circuit/circuit.js'
import { circuitOf } from './circuit/circuit-listeners.js'
import { refusedTransport } from './circuit/overheard-reserve.js'
import { limitsOf } from './client/limits.js'
import { dialRelay, keepRelay } from './client/named-relays.js'
import { isByAddress, networkOfConnection } from './client/network.js'
import { createOffers } from './client/offers.js'
import { createCallers, walk } from './client/random-walk.js'
import { watchPeers } from './client/relay-peers.js'
import { answerMs, type Reservation, requestReservation } from './client/reservations.js'
import { measureRtt } from './client/rtt.js'
import type { RelayHost } from './host.js'
import { type RelayOptions, readOptions } from './options.js'

/**
 * Creates the relay strategy: reservations at circuit relays (libp2p circuit relay v2) through
 * `circuitRelayTransport()`.
 *
 * Discovers the configured relays and every connected peer that serves as a relay. A lease is a reservation; its
 * addresses lead through the relay and are announced while the lease lives. Throws a TypeError for invalid options. The
 * returned function throws a TypeError for a node without `circuitRelayTransport()`.
 *
 * `reserve` and `renew` reject with NO_REPLY, MALFORMED_REPLY, REPLY_TOO_LARGE, UNSUPPORTED, OUT_OF_RESOURCES,
 * NOT_AUTHORIZED, MALFORMED_REQUEST, GATEWAY_FAULT or GRANT_INVALID, or with the signal's reason. `release` does not
 * reject.
 */
export function relay(options: RelayOptions = {}): Strategy<RelayHost> {
  const { named, count, discover } = readOptions(options)
  const names = new Set(named.map(({ id }) => id))
  const isNamed = (id: string): boolean => names.has(id)

  return (host) => {
    const { clock, components, log } = host
    const { connectionManager, peerStore } = components
    const circuit = circuitOf(host)
    circuit.name(named)
    if (named.length > 0) {
      host.onStart?.((call) => Promise.race(named.map((each) => dialRelay(host, each, call))))
    }

    return {
      name: 'relay',
      kind: 'relay',
      count,
      async discover(_network, found, { signal }) {
        if (signal.aborted) return
        const tell = (finding: Finding): void => {
          if (!signal.aborted) found(finding)
        }
        const offers = createOffers(tell, count, named.length === 0)
        const callers = createCallers(host, offers.enough, { signal })
        const meeting = new Set<Promise<void>>()
        const connections = new Map<string, Connection>()

        /**
         * Offers a relay with its round-trip time. If the measurement is slow, offers it without, and again afterwards.
         */
        async function meet(connection: Connection): Promise<void> {
          const { remotePeer } = connection
          const id = remotePeer.toString()
          const offer = (network: string | undefined, rttMs: number | undefined): void => {
            // The relay may have disconnected meanwhile, and even reconnected.
            if (network === undefined || connections.get(id) !== connection) return
            const party = { id, network, ...(rttMs === undefined ? {} : { rttMs }) }
            offers.put(abilityOf(remotePeer, party, offers.answered), isNamed(id))
          }
          // If every configured relay is needed, there is no choice to make and nothing to measure.
          if (isNamed(id) && named.length <= count && isByAddress(connection)) {
            return offer(networkOfConnection(connection, []), connection.rtt)
          }
          const measured = measureRtt(connection, clock, { signal }).catch(() => undefined)
          const first = await waitAtMost(clock, measureMs, measured, undefined, { signal })
          const peer = await peerStore.get(remotePeer).catch(() => undefined)
          const told = peer?.addresses.map(({ multiaddr }) => multiaddr) ?? []
          const network = networkOfConnection(connection, told)
          offer(network, first ?? undefined)
          const second = await measured
          if (second !== undefined && second !== first) offer(network, second)
        }

        const came = (connection: Connection): void => {
          connections.set(connection.remotePeer.toString(), connection)
          const work: Promise<void> = meet(connection).finally(() => meeting.delete(work))
          meeting.add(work)
        }
        const went = (id: string): void => {
          connections.delete(id)
          offers.drop(id)
        }
        circuit.watch((id) => offers.lost(id, isThere(id)), signal)
        const called = discover ? callers.called : () => undefined
        const watching = watchPeers(components, isNamed, { came, went, called }, signal)
        const patience = clock.sleep(patienceMs, { signal }).then(
          () => {
            offers.openToAll()
            if (offers.isEmpty()) tell(noRelay())
          },
          () => undefined
        )
        await Promise.all([
          watching,
          patience,
          ...named.map((each) => keepRelay(host, each, { signal })),
          discover ? walk(host, offers.enough, { signal }) : undefined,
          untilAborted(signal)
        ])
        await Promise.all([...meeting, callers.settled()])
      }
    }

    function dialled(peer: PeerId): Connection | undefined {
      return connectionManager.getConnections(peer).find(isDialledDirectly)
    }

    function isThere(id: string): boolean {
      return connectionManager
        .getConnections()
        .some((each) => each.remotePeer.toString() === id && isDialledDirectly(each))
    }

    function abilityOf(peer: PeerId, party: RemoteParty, answered: (id: string, isGood: boolean) => void): Relay {
      return {
        kind: 'relay',
        party,
        async reserve(call) {
          try {
            // The transport reserves: from its grant on, the node announces the address.
            const acceptance = await acceptOrReason(peer, call)
            answered(party.id, true)
            const terms = await termsOf(peer, acceptance, call).catch(undo(acceptance, call))
            return leaseOf(peer, terms, acceptance)
          } catch (error) {
            // A timeout aborts with a NatError and counts as a failure; an abort by the caller does not.
            if (!call.signal.aborted || isNatError(call.signal.reason)) answered(party.id, false)
            throw error
          }
        }
      }
    }

    async function ask(peer: PeerId, call: CallOptions, limitMs = answerMs): Promise<Reservation> {
      call.signal.throwIfAborted()
      const connection = dialled(peer)
      if (connection === undefined) throw notConnected()
      return requestReservation(connection, clock, call, limitMs)
    }

    /** Makes the transport reserve. If it fails for a reason that was not overheard, asks the relay once more for it. */
    async function acceptOrReason(peer: PeerId, call: CallOptions): Promise<Acceptance> {
      call.signal.throwIfAborted()
      if (dialled(peer) === undefined) throw notConnected()
      const startMs = clock.monotonicMs()
      try {
        return await circuit.accept(peer, call)
      } catch (error) {
        if (isNatError(error) || call.signal.aborted) throw error
        await ask(peer, call, Math.max(0, answerMs - (clock.monotonicMs() - startMs)))
        throw refusedTransport(error)
      }
    }

    /**
     * Returns what the relay has granted to the transport. If the limits were not overheard, asks the relay once more
     * for them; a relay that does not answer leaves them unknown.
     */
    async function termsOf(peer: PeerId, { lifetimeMs, reply }: Acceptance, call: CallOptions): Promise<Terms> {
      if (reply !== undefined) return readTerms(peer, { lifetimeMs, limit: reply.limit }, call)
      const late = (): Error => natError('NO_REPLY', `the relay did not tell its limits within ${limitsMs} ms`)
      try {
        return await within(clock, limitsMs, call, late, async (bounded) =>
          readTerms(peer, await ask(peer, bounded), bounded)
        )
      } catch (error) {
        call.signal.throwIfAborted()
        log.debug(`the limits of the relay ${peer.toString()} are not known: ${printable(String(error))}`)
        return { lifetimeMs, limits: undefined }
      }
    }

    async function readTerms(peer: PeerId, { lifetimeMs, limit }: Reservation, call: CallOptions): Promise<Terms> {
      return { lifetimeMs, limits: limit && limitsOf(limit, await waitForAgentVersion(host, peer, call)) }
    }

    function leaseOf(peer: PeerId, { lifetimeMs, limits }: Terms, acceptance: Acceptance): Lease {
      let released: Promise<void> | undefined
      return {
        addresses: acceptance.addresses,
        lifetimeMs,
        ...(limits === undefined ? {} : { limits }),
        // Works over a new connection too, for which the transport has no reservation yet.
        async renew(call) {
          const granted = await ask(peer, call)
          const again = await acceptance.again(call)
          return leaseOf(peer, await readTerms(peer, granted, call), again)
        },
        release(call) {
          released ??= acceptance.refuse(call)
          return released
        }
      }
    }
  }
}

/** How long to wait for an RTT measurement before offering the relay (ms). */
const measureMs = 500
/** Head start of the configured relays (ms). Dialling a peer and identify take less time than this. */
const patienceMs = 2000

/** How long a relay may take to tell its limits after it has granted a reservation (ms). Until then the address is
 * announced, but the lease is not granted. */
const limitsMs = 2000

/** What a relay grants: how long a reservation lasts, and how much one relayed connection may carry. */
interface Terms {
  readonly lifetimeMs: number
  readonly limits: RelayLimits | undefined
}

/** Undoes an acceptance and rethrows the reason for which the reservation failed. */
const undo =
  (acceptance: Acceptance, call: CallOptions) =>
  async (reason: unknown): Promise<never> => {
    await acceptance.refuse(call)
    throw reason
  }

const notConnected = (): NatError => natError('NO_REPLY', 'the relay is not connected')

const noRelay = (): Finding => ({
  kind: 'notice',
  what: 'absent',
  gateway: null,
  reason: natError('NO_SERVICE', 'no connected peer serves as a relay')
})
