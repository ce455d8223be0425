import type { PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import {
  type CallOptions,
  isGlobal,
  type NatError,
  natError,
  parseDialAddress,
  printable,
  within
} from '@postern/interface'
import { ipOf, isDirect } from '@postern/libp2p-utils'
import { createRate } from '@postern/net'
import type { RelayHost } from '../host.js'

/** How many peers of peer routing one walk dials, and how many it looks at. A large network must not be visited as a
 * whole. */
const maxDials = 20
const maxMet = 200
/** How many addresses of one peer are dialled: peers announce them themselves, in any number. */
const maxAddresses = 10
/** Time limit of a walk (ms). With an empty routing table the walk would otherwise spin. */
const walkMs = 30_000
const dialMs = 5000
/** Head start of the connected peers and the configured relays (ms). */
const firstAfterMs = 2000
const pauseMs = 60_000
const maxPauseMs = 3_600_000

/**
 * Dials peers from peer routing, one after the other, while too few of the connected peers are relays. Resolves with
 * the abort.
 */
export async function walk(host: RelayHost, enough: () => boolean, { signal }: CallOptions): Promise<void> {
  const { components, clock, log } = host
  const rest = (ms: number): Promise<void> => clock.sleep(ms, { signal }).catch(() => undefined)
  const late = (): NatError => natError('NO_REPLY', `the walk took longer than ${walkMs} ms`)
  await rest(firstAfterMs)
  for (let pause = pauseMs; !signal.aborted; pause = Math.min(maxPauseMs, pause * 2)) {
    if (!enough()) {
      await within(clock, walkMs, { signal }, late, meet).catch((error: unknown) => {
        if (!signal.aborted) log.debug(`peer routing found no relay: ${printable(String(error))}`)
      })
    }
    await rest(pause)
  }

  async function meet(call: CallOptions): Promise<void> {
    let dials = 0
    let met = 0
    for await (const { id, multiaddrs } of components.randomWalk.walk(call)) {
      const addresses = dialable(id, multiaddrs, isGlobal)
      if (addresses.length > 0 && components.connectionManager.getConnections(id).length === 0) {
        dials++
        await dialStranger(host, id, addresses, false, call)
      }
      if (enough() || ++met >= maxMet || dials >= maxDials || call.signal.aborted) return
    }
  }
}

/**
 * How many relays that have dialled this node are dialled back within `callersMs`. Such peers and their addresses are
 * self-declared and peer ids cost nothing, so the limits are per prefix.
 */
const maxCallers = { total: 16, network: 8, subnet: 4, ip: 2, peer: 1 }
const callersMs = 600_000

/**
 * Dials relays that have dialled this node, one after the other, at their listening addresses, where other peers can
 * dial them too.
 */
export function createCallers(
  host: RelayHost,
  enough: () => boolean,
  { signal }: CallOptions
): { readonly called: (peer: PeerId) => void; readonly settled: () => Promise<void> } {
  const rate = createRate(maxCallers, callersMs, host.clock)
  let last = Promise.resolve()
  /** Returns the IP addresses of the peer's direct connections. */
  const hostsOf = (peer: PeerId): readonly string[] =>
    host.components.connectionManager
      .getConnections(peer)
      .flatMap((each) => (isDirect(each) ? (ipOf(each.remoteAddr) ?? []) : []))
  return {
    called(peer) {
      if (signal.aborted || enough()) return
      const [address] = hostsOf(peer)
      if (address === undefined || rate.take({ address, peer: peer.toString() }) !== undefined) return
      last = last.then(() => dialCaller(peer))
    },
    settled: () => last
  }

  async function dialCaller(peer: PeerId): Promise<void> {
    if (enough() || signal.aborted) return
    const known = await host.components.peerStore.get(peer).catch(() => undefined)
    if (enough() || signal.aborted) return
    // In the local network, a relay has the address from which it has dialled this node.
    const here = new Set(hostsOf(peer))
    const told = known?.addresses.map((each) => each.multiaddr) ?? []
    const addresses = dialable(peer, told, (address) => isGlobal(address) || here.has(address))
    if (addresses.length > 0) await dialStranger(host, peer, addresses, true, { signal })
  }
}

/** Returns the reported addresses that may be dialled, rebuilt from their checked parts. */
function dialable(
  peer: PeerId,
  told: readonly Multiaddr[],
  mayDial: (address: string) => boolean
): readonly Multiaddr[] {
  const id = peer.toString()
  return told
    .flatMap((each) => parseDialAddress(each.toString()) ?? [])
    .filter(({ address, peerId }) => mayDial(address) && (peerId === undefined || peerId === id))
    .slice(0, maxAddresses)
    .map(({ text, peerId }) => multiaddr(peerId === undefined ? `${text}/p2p/${id}` : text))
}

/** Dials a peer. Identify then shows whether it is a relay. */
async function dialStranger(
  { components, clock, log }: RelayHost,
  peer: PeerId,
  addresses: readonly Multiaddr[],
  force: boolean,
  call: CallOptions
): Promise<void> {
  const late = (): NatError => natError('NO_REPLY', `not connected within ${dialMs} ms`)
  try {
    await within(clock, dialMs, call, late, (bounded) =>
      components.connectionManager.openConnection([...addresses], { ...bounded, force })
    )
  } catch (error) {
    if (!call.signal.aborted) log.debug(`${peer.toString()} cannot be dialled: ${printable(String(error))}`)
  }
}
