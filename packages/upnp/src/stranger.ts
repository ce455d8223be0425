import { type Gateway, type Mapper, natError } from '@postern/interface'

/** A host of the link that says that it is a gateway, and is not ours. It is told of by its address, and never asked: only the
 * user can say that it is to be used, by its name. */
export const strangerAt = (gateway: Gateway): Mapper => ({
  kind: 'mapper',
  gateway,
  family: 4,
  protocols: ['tcp', 'udp'],
  async map(_request, { signal }) {
    signal.throwIfAborted()
    throw natError('SECONDARY_GATEWAY', `${gateway.address} is not the next hop, and is used only if it is named`)
  }
})
