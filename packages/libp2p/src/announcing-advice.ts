import type { AddressManager } from '@libp2p/interface-internal'
import type { Report } from '@postern/core'

/**
 * Returns advice for a mapped address that the node does not announce. Without `autonat()` among the strategies,
 * another service of the node must verify it.
 */
export function announcingAdvice({ candidates }: Report, addressManager: AddressManager): readonly string[] {
  const announced = addressManager.getAddresses().map((address) => address.toString())
  const waiting = candidates.find(
    ({ address, type, state }) =>
      (type === 'mapped' || type === 'manual') &&
      state !== 'refuted' &&
      !announced.some((each) => each === address || each.startsWith(`${address}/`))
  )
  if (waiting === undefined) return []
  return [
    `${waiting.address} is not announced before it is verified: add autonat() to the strategies, or an AutoNAT service to the node.`
  ]
}
