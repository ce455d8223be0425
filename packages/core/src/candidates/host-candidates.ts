import {
  canonicalAddress,
  classOf,
  familyOf,
  formatMultiaddr,
  isGlobal,
  type MultiaddrText,
  type Network,
  parseMultiaddr
} from '@postern/interface'
import { type WantedEndpoint, withSuffix } from '../discovery/endpoints.js'
import type { Candidates } from './candidates.js'

/** Host candidates: endpoints on global addresses of this host. */
export interface HostCandidates {
  add(want: WantedEndpoint): void
  remove(want: WantedEndpoint): void
  /** Updates the candidates after a change of the network. */
  refresh(): void
  /** Adds the host candidate again after a mapping with the same address was withdrawn. */
  restore(address: MultiaddrText): void
  clear(): void
}

export function createHostCandidates(candidates: Candidates, network: () => Network): HostCandidates {
  const byWant = new Map<WantedEndpoint, readonly MultiaddrText[]>()
  /** An address may belong to two wanted endpoints: one with the wildcard, and one with the address itself. */
  const wantsOf = new Map<MultiaddrText, Set<WantedEndpoint>>()

  function put(address: MultiaddrText, { endpoint }: WantedEndpoint): void {
    if (candidates.get(address) !== undefined) return
    const own = parseMultiaddr(address)?.address ?? endpoint.address
    candidates.put({
      address,
      type: 'local',
      strategy: null,
      endpoint: { ...endpoint, address: own },
      mapper: null,
      expiresAt: null
    })
  }

  function add(want: WantedEndpoint): void {
    const addresses = addressesOf(want, network())
    byWant.set(want, addresses)
    for (const address of addresses) {
      wantsOf.set(address, (wantsOf.get(address) ?? new Set()).add(want))
      put(address, want)
    }
  }

  function remove(want: WantedEndpoint): void {
    for (const address of byWant.get(want) ?? []) {
      const wants = wantsOf.get(address)
      wants?.delete(want)
      if (wants === undefined || wants.size > 0) continue
      wantsOf.delete(address)
      if (candidates.get(address)?.type === 'local') candidates.withdraw(address)
    }
    byWant.delete(want)
  }

  return {
    add,
    remove,
    refresh() {
      for (const want of Array.from(byWant.keys())) {
        const before = byWant.get(want)?.join()
        if (addressesOf(want, network()).join() === before) continue
        remove(want)
        add(want)
      }
    },
    restore(address) {
      const [want] = wantsOf.get(address) ?? []
      if (want !== undefined) put(address, want)
    },
    clear() {
      for (const want of Array.from(byWant.keys())) remove(want)
    }
  }
}

function addressesOf(want: WantedEndpoint, { addresses }: Network): readonly MultiaddrText[] {
  const { endpoint } = want
  const own = canonicalAddress(endpoint.address)
  const isAny = classOf(endpoint.address) === 'unspecified'
  const listens = (address: string): boolean => isAny || own === canonicalAddress(address)
  return addresses
    .filter((address) => familyOf(address) === endpoint.family && isGlobal(address) && listens(address))
    .map((address) => withSuffix(formatMultiaddr(address, endpoint.protocol, endpoint.port), want))
}
