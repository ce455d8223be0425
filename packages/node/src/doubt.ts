import { type Doubt, systemHost } from '@postern/core'
import { type Clock, natError } from '@postern/interface'
import { isOnFirstHop } from '@postern/net'

/** Doubts an external address that lies beyond the router which claims it: another router translates before it, or it
 * lies. Asks with a handful of datagrams that no router hands on. */
export const doubtBeyondFirstHop =
  (clock: Clock = systemHost.clock): Doubt =>
  async (address, call) => {
    if ((await isOnFirstHop(address, { clock }, call)) !== 'beyond') return undefined
    return natError('DOUBLE_NAT', `the router says that ${address} is its own, but that address lies beyond it`)
  }
