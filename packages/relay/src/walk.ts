import type { PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, isGlobal, type NatError, natError, parseDialAddress, printable } from '@postern/interface'
import { createRate, within } from '@postern/net'
import type { RelayHost } from './host.js'

/** How many strangers are dialled, and how many are looked at, in one walk at most. */
const mostDials = 20
const mostMet = 200
/** How many addresses of one stranger are dialled at most. */
const maxAddresses = 10
/** How long a walk takes at most, in ms. Routing that knows no peers would walk on the spot, as fast as it can. */
const walkMs = 30_000
const dialMs = 5000
/** Connected peers, and the relays that were named, come first. */
const firstAfterMs = 2000
const pauseMs = 60_000
const mostPauseMs = 3_600_000

/** Meets peers by peer routing, one after the other, as long as there are not enough relays among those connected. */
export async function walk(host: RelayHost, enough: () => boolean, { signal }: CallOptions): Promise<void> {
  const { components, clock, log } = host
  const rest = (ms: number): Promise<void> => clock.sleep(ms, { signal }).catch(() => undefined)
  const late = (): NatError => natError('NO_REPLY', `the walk took longer than ${walkMs} ms`)
  await rest(firstAfterMs)
  for (let pause = pauseMs; !signal.aborted; pause = Math.min(mostPauseMs, pause * 2)) {
    if (!enough()) {
      await within(clock, walkMs, { signal }, late, meet).catch((error: unknown) => {
        if (!signal.aborted) log.debug(`peer routing leads to no relay: ${printable(String(error))}`)
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
      if (enough() || ++met >= mostMet || dials >= mostDials || call.signal.aborted) return
    }
  }
}

/**
 * How many relays that have dialled us are dialled in turn, in that time. They choose themselves, and what they say where
 * they are: peer ids cost nothing, so that each prefix from which they dial has a share.
 */
const maxCallers = { total: 16, network: 8, subnet: 4, ip: 2, peer: 1 }
const callersMs = 600_000

/** Dials those who serve as relays and have dialled us, one after the other: where they listen, others can dial them. */
export function createCallers(
  host: RelayHost,
  enough: () => boolean,
  { signal }: CallOptions
): { readonly called: (peer: PeerId) => void; readonly settled: () => Promise<void> } {
  const rate = createRate(maxCallers, callersMs, host.clock)
  let last = Promise.resolve()
  /** Where the peer is connected from, itself. */
  const hostsOf = (peer: PeerId): readonly string[] =>
    host.components.connectionManager
      .getConnections(peer)
      .flatMap(({ limits, remoteAddr }) => (limits === undefined ? (hostOf(remoteAddr) ?? []) : []))
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
    // In the own network a relay is at the address from which it has dialled us.
    const here = new Set(hostsOf(peer))
    const told = known?.addresses.map(({ multiaddr }) => multiaddr) ?? []
    const addresses = dialable(peer, told, (address) => isGlobal(address) || here.has(address))
    if (addresses.length > 0) await dialStranger(host, peer, addresses, true, { signal })
  }
}

const hostOf = (address: Multiaddr): string | undefined => parseDialAddress(address.toString())?.address

/** The addresses that a stranger tells and that may be dialled, built from the parts that were checked. */
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

/** Whether it is a relay, identify tells. */
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
