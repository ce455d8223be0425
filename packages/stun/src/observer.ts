import {
  canonicalAddress,
  familyOf,
  formatMultiaddr,
  type Host,
  natError,
  networkPrefixOf,
  type Observer,
  type SharedUdpSocket
} from '@postern/interface'
import type { StunAddress } from './address-codec.js'
import { askServer } from './ask.js'
import { discoverBehaviour } from './behaviour.js'
import { discoverLifetime } from './lifetime.js'
import type { Settings } from './options.js'
import { waitsFor } from './schedule.js'

/** The pause between two filtering tests of a socket, in ms: after this time the NAT may have forgotten that something
 * was sent to the other address (RFC 4787 §4.3, REQ-5). */
const forgottenMs = 5 * 60_000

/** The longest lifetime to test, in ms. A NAT should keep a mapping for at least 2 min (RFC 4787 §4.3, REQ-5). */
const maxLifetimeMs = 120_000
/** The precision of the lifetime, in ms: enough for keep-alives, and the tests take 4 min at most. */
const precisionMs = 5000

/** Creates the observer of one server address: connects the contract with the client. */
export function createObserver({ clock }: Host, server: StunAddress, settings: Settings): Observer {
  const { behaviour, requests, openUdp } = settings
  const address = canonicalAddress(server.address) ?? server.address
  /** When the behaviour was last tested with a socket, which sent to the server's other address then. */
  const lookedAtMs = new WeakMap<SharedUdpSocket, number>()

  return {
    kind: 'observer',
    party: {
      id: address.includes(':') ? `[${address}]:${server.port}` : `${address}:${server.port}`,
      network: networkPrefixOf(address) ?? ''
    },
    async observe(tap, call) {
      call.signal.throwIfAborted()
      if (tap.endpoint.family !== familyOf(address))
        throw natError('UNSUPPORTED', `the STUN server ${address} is of another family than this socket`)
      if (!behaviour) {
        const { mapped } = await askServer({ clock, tap, server, waitsMs: waitsFor(requests) }, call)
        return { address: formatMultiaddr(mapped.address, 'udp', mapped.port) }
      }
      const before = lookedAtMs.get(tap)
      const filtering = before === undefined || clock.monotonicMs() - before >= forgottenMs
      lookedAtMs.set(tap, clock.monotonicMs())
      const found = await discoverBehaviour({ clock, tap, server, requests, filtering, openUdp }, call)
      const { mapped, mapping, filtering: filters, hairpin } = found
      return {
        address: formatMultiaddr(mapped.address, 'udp', mapped.port),
        ...(mapping === undefined ? {} : { mapping }),
        ...(filters === undefined ? {} : { filtering: filters }),
        ...(hairpin === undefined ? {} : { hairpin })
      }
    },
    async refresh(tap, call) {
      const { mapped } = await askServer({ clock, tap, server, waitsMs: waitsFor(requests) }, call)
      return formatMultiaddr(mapped.address, 'udp', mapped.port)
    },
    async lifetimeMs({ address: local, family }, call) {
      const { atLeastMs } = await discoverLifetime(
        { clock, server, address: local, family, maxMs: maxLifetimeMs, precisionMs, openUdp },
        call
      )
      return atLeastMs
    }
  }
}
