import {
  canonicalAddress,
  classOf,
  familyOf,
  formatMultiaddr,
  type MultiaddrText,
  type Network
} from '@postern/interface'
import type { Candidates } from './candidates.js'
import type { Want } from './wants.js'

/** Keeps the candidates that need nobody's help: endpoints on addresses that are global themselves. */
export function refreshLocal(candidates: Candidates, wants: readonly Want[], network: Network): void {
  const current = new Set<MultiaddrText>()
  for (const { endpoint } of wants) {
    const listens = (address: string): boolean =>
      classOf(endpoint.address) === 'unspecified' || canonicalAddress(endpoint.address) === canonicalAddress(address)
    for (const address of network.addresses) {
      if (familyOf(address) !== endpoint.family || classOf(address) !== 'global' || !listens(address)) continue
      const candidate = formatMultiaddr(address, endpoint.protocol, endpoint.port)
      current.add(candidate)
      const known = candidates.get(candidate)
      if (known !== undefined) continue
      candidates.put({
        address: candidate,
        type: 'local',
        strategy: null,
        endpoint: { ...endpoint, address },
        expiresAt: null
      })
    }
  }
  for (const { address, type } of candidates.all()) {
    if (type === 'local' && !current.has(address)) candidates.withdraw(address)
  }
}
