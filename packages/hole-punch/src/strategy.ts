import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type Finding, type Network, type Puncher, type Strategy, untilAborted } from '@postern/interface'
import { ipOf, isDirect, isRelayed } from '@postern/libp2p-utils'
import type { Context } from './context.js'
import { serveRounds } from './dcutr/protocol-handler.js'
import { forgetOldest } from './dial/forget.js'
import { createBudget } from './dial/syn-budget.js'
import type { HolePunchComponents, HolePunchHost } from './host.js'
import { createKnowledge } from './nat/nat-mapping.js'
import { type HolePunchOptions, readOptions } from './options.js'
import { createPunches } from './upgrade/upgrades.js'

/** SYNs per minute that remote peers can cause. Three rounds with one port need at most 600. */
const limits = { perAddress: 800, perNetwork: 2400, inAll: 8000 }
/** The limits with the `birthday` option, which needs many guesses. */
const birthdayLimits = { perAddress: 4000, perNetwork: 8000, inAll: 16_000 }

/** How many observed external addresses of this host are remembered. No honest set is larger. */
const maxOutside = 8

/**
 * Creates the hole-punch strategy: direct TCP connections to peers that are connected through a relay (libp2p/specs
 * relay/DCUtR.md).
 *
 * Starts as soon as a relayed connection opens: dials the addresses that the peer announces, and attempts a
 * simultaneous open through both NATs. Closes the relayed connection afterwards. Throws a TypeError for invalid
 * options. `discover` rejects with `CONFLICT` if the protocol cannot be registered.
 *
 * `upgrade` of the puncher rejects with `SYMMETRIC_NAT`, `REFUSED`, `NO_REPLY`, `EXTERNAL_ADDRESS_UNKNOWN`,
 * `UNSUPPORTED`, `GRANT_INVALID`, `QUOTA_EXCEEDED`, `UNREACHABLE` or the signal's reason.
 */
export function holePunch(options: HolePunchOptions = {}): Strategy<HolePunchHost> {
  const settings = readOptions(options)

  return (host) => ({
    name: 'hole-punch',
    kind: 'puncher',
    async discover(network, found, call) {
      if (call.signal.aborted) return
      const { components, clock } = host
      const { transportManager } = components
      const tell = (finding: Finding): void => {
        if (!call.signal.aborted) found(finding)
      }
      const outside = new Set<string>()
      const knowledge = createKnowledge(host, settings.connect, call)
      const context: Context = {
        host,
        settings,
        budget: createBudget(clock, settings.birthday ? birthdayLimits : limits),
        own: () => ownAddresses(components, network, [...outside, knowledge.keptPortsAt(4), knowledge.keptPortsAt(6)]),
        seen(port) {
          outside.delete(port.external.host)
          outside.add(port.external.host)
          forgetOldest(outside, maxOutside)
          knowledge.seen(port)
        },
        knowledge
      }
      const puncher: Puncher = { kind: 'puncher', upgrade: (peerId, bounded) => punches.upgrade(peerId, bounded) }
      const punches = createPunches(
        context,
        (peer, state) => tell({ kind: 'notice', what: 'upgrade', about: puncher, peer, ...state }),
        call
      )

      const opened = ({ detail }: CustomEvent<Connection>): void => {
        if (isDirect(detail)) return punches.cameDirect(detail)
        if (!isRelayed(detail)) return
        knowledge.learn(detail)
        punches.opened(detail)
      }
      const closed = ({ detail }: CustomEvent<Connection>): void => punches.closed(detail.remotePeer)
      const listening = (): void => {
        if (transportManager.getAddrs().some(isThroughRelay)) knowledge.learnSoon()
      }

      const unserve = await serveRounds(host, (stream, connection) => punches.answer(stream, connection))
      components.events.addEventListener('connection:open', opened)
      components.events.addEventListener('connection:close', closed)
      components.events.addEventListener('transport:listening', listening)
      tell(puncher)
      listening()
      for (const connection of components.connectionManager.getConnections()) {
        opened(new CustomEvent('connection:open', { detail: connection }))
      }
      await untilAborted(call.signal)
      components.events.removeEventListener('connection:open', opened)
      components.events.removeEventListener('connection:close', closed)
      components.events.removeEventListener('transport:listening', listening)
      await unserve()
      await Promise.all([punches.ended(), knowledge.ended()])
    }
  })
}

/** Returns every address that belongs, or seems to belong, to this host. No peer can make this node dial them. */
function ownAddresses(
  { addressManager, transportManager }: HolePunchComponents,
  network: Network,
  outside: readonly (string | undefined)[]
): ReadonlySet<string> {
  const listening = [...addressManager.getAddresses(), ...transportManager.getAddrs()]
  // A relayed multiaddr begins with the address of the relay, so it is skipped.
  const hosts = listening.flatMap((address) => (isThroughRelay(address) ? [] : (ipOf(address) ?? [])))
  return new Set([...network.addresses, ...outside.filter((each) => each !== undefined), ...hosts])
}

const isThroughRelay = (address: Multiaddr): boolean =>
  address.getComponents().some(({ name }) => name === 'p2p-circuit')
