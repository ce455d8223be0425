import type { AddressManager } from '@libp2p/interface-internal'
import { multiaddr } from '@multiformats/multiaddr'
import type { CandidateReport } from '@postern/core'
import { isGlobal, parseMultiaddr } from '@postern/interface'

/** Tells the node's AddressManager which direct addresses to announce, and which ports of forwarders. */
export interface Announcer {
  /** Announces the verified candidates and the ports of forwarders, and withdraws every other address that was announced before. */
  update(candidates: readonly CandidateReport[]): void
}

/**
 * Creates an announcer. Adds an address to the AddressManager when it is verified, not before, and removes it when it
 * is no longer valid. The AddressManager cannot decide this itself: it lets no address expire, treats one confirmed
 * port of an IP address as proof for all its ports, and emits no event for a mapping.
 *
 * @param verifies - whether a strategy verifies addresses. Otherwise mappings are added unverified, for the AutoNAT
 * service of the node
 */
export function createAnnouncer(addressManager: AddressManager, verifies: boolean): Announcer {
  /** The announced addresses, each with the function that withdraws it. */
  const announced = new Map<string, () => void>()

  function announce({ address, endpoint, state, type }: CandidateReport): (() => void) | undefined {
    const external = parseMultiaddr(address)
    if (external === undefined || endpoint === null) return undefined
    const ma = multiaddr(address)
    // An own address, with or without a pinhole. The transport itself reports it, so it only needs to be confirmed.
    if (external.address === endpoint.address && external.port === endpoint.port) {
      if (state !== 'verified') return undefined
      addressManager.confirmObservedAddr(ma, { type: 'transport' })
      return () => addressManager.removeObservedAddr(ma)
    }
    if (type === 'local') return undefined
    // An unverified mapping is passed on only if its address is global.
    if (state !== 'verified' && !isGlobal(external.address)) return undefined
    const mapping = [endpoint.address, endpoint.port, external.address, external.port, external.protocol] as const
    addressManager.addPublicAddressMapping(...mapping)
    if (state === 'verified' || type === 'relayed') addressManager.confirmObservedAddr(ma, { type: 'ip-mapping' })
    return () => addressManager.removePublicAddressMapping(...mapping)
  }

  return {
    update(candidates) {
      const wanted = new Map(
        candidates
          .filter(
            ({ type, state, endpoint }) =>
              // The transport reports the addresses at relays. A forwarder has tried its port itself.
              (type !== 'relayed' || (endpoint !== null && state === 'consistent')) &&
              // An observed address is a guess until witnesses have reached it.
              (state === 'verified' || type === 'relayed' || (type !== 'observed' && !verifies && state !== 'refuted'))
          )
          .map((candidate) => [`${candidate.address} ${candidate.endpoint?.address}`, candidate])
      )
      for (const [key, withdraw] of announced) {
        if (wanted.has(key)) continue
        announced.delete(key)
        withdraw()
      }
      for (const [key, candidate] of wanted) {
        if (announced.has(key)) continue
        const withdraw = announce(candidate)
        if (withdraw !== undefined) announced.set(key, withdraw)
      }
    }
  }
}
