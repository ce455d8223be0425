import type { AddressManager } from '@libp2p/interface-internal'
import { multiaddr } from '@multiformats/multiaddr'
import type { CandidateReport } from '@postern/core'
import { isGlobal, parseMultiaddr } from '@postern/interface'

/** Tells the node's AddressManager which direct addresses to announce. */
export interface Announcer {
  /** Announces those that are verified and withdraws all others that were announced before. */
  update(candidates: readonly CandidateReport[]): void
}

/**
 * The AddressManager is only told: it lets nothing expire, takes one confirmed port of an address for all of them, and emits
 * nothing for a mapping. So it gets an address when that is verified, not before, and loses it when that is over.
 *
 * @param verifies - whether somebody here verifies. Where nobody does, mappings are handed over unverified, for whichever
 *  AutoNAT service the node has.
 */
export function createAnnouncer(addressManager: AddressManager, verifies: boolean): Announcer {
  /** By address, what withdraws it. */
  const announced = new Map<string, () => void>()

  function announce({ address, endpoint, state, type }: CandidateReport): (() => void) | undefined {
    const external = parseMultiaddr(address)
    if (external === undefined || endpoint === null) return undefined
    const ma = multiaddr(address)
    // The port of an own address, behind a pinhole or nothing at all: the transport tells that one itself.
    if (external.address === endpoint.address && external.port === endpoint.port) {
      if (state !== 'verified') return undefined
      addressManager.confirmObservedAddr(ma, { type: 'transport' })
      return () => addressManager.removeObservedAddr(ma)
    }
    if (type === 'local') return undefined
    // What a router says without being reached there is handed on only where the internet could reach it.
    if (type === 'mapped' && state !== 'verified' && !isGlobal(external.address)) return undefined
    const mapping = [endpoint.address, endpoint.port, external.address, external.port, external.protocol] as const
    addressManager.addPublicAddressMapping(...mapping)
    if (state === 'verified') addressManager.confirmObservedAddr(ma, { type: 'ip-mapping' })
    return () => addressManager.removePublicAddressMapping(...mapping)
  }

  return {
    update(candidates) {
      const wanted = new Map(
        candidates
          .filter(
            ({ type, state }) =>
              // What a STUN server sees is where answers go, and no way in.
              type !== 'relayed' && type !== 'observed' && (state === 'verified' || (!verifies && state !== 'refuted'))
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
