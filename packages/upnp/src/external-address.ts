import { type CallOptions, type Host, isNatError, type NatError, natError } from '@postern/interface'
import type { Client } from './client.js'
import { type External, isNoAddress, readExternalAddress } from './device.js'

/** Another map within this time does not ask again. What changes meanwhile shows at the next renewal, as it does when it
 * changes a moment after the map. */
const freshMs = 10_000
/** Stands for an address that the router does not tell. */
const unknownAddress = '0.0.0.0'

/** The external address, and why it is not sure. */
export interface ToldAddress {
  readonly address: string
  readonly caveat?: NatError
  /** The router answers that there is no such mapping, which nothing asked: what it calls absent may be there. */
  readonly isConfused?: boolean
}

/** The external address of the router, as its mappings are told it. A router that does not tell it maps all the same: then it
 * is the one that was told last, or `0.0.0.0`. */
export interface ExternalAddress {
  /** As it was told a moment ago, when the device was found for example; else asked for. */
  fresh(call: CallOptions): Promise<ToldAddress>
  ask(call: CallOptions): Promise<ToldAddress>
}

export interface ExternalAddressOptions {
  readonly client: Client
  readonly host: Host
  /** The external address is another one than when it was last asked for. */
  readonly addressChanged: () => void
}

export function createExternalAddress({ client, host, addressChanged }: ExternalAddressOptions): ExternalAddress {
  let last: External | undefined

  async function ask(call: CallOptions): Promise<ToldAddress> {
    try {
      const address = readExternalAddress(await client.call('connection', 'GetExternalIPAddress', {}, call))
      return heard({ address, atMs: host.clock.monotonicMs() })
    } catch (error) {
      call.signal.throwIfAborted()
      if (!isNatError(error) || !isNoAddress(error)) throw error
      return silent(error)
    }
  }

  function heard(external: External): ToldAddress {
    const before = last
    last = external
    if (before !== undefined && before.address !== external.address) addressChanged()
    return { address: external.address }
  }

  function silent(reason: NatError): ToldAddress {
    const address = last?.address ?? unknownAddress
    const text = `the router maps the port and does not tell its external address: ${reason.message}`
    const caveat = natError('EXTERNAL_ADDRESS_UNKNOWN', text, { cause: reason })
    return { address, caveat, isConfused: reason.code === 'MAPPING_LOST' }
  }

  return {
    ask,
    async fresh(call) {
      const { external: found, silence } = client.device
      if (silence !== undefined && last === undefined) return silent(silence)
      const newest = last === undefined || (found !== undefined && found.atMs > last.atMs) ? found : last
      const isFresh = newest !== undefined && host.clock.monotonicMs() - newest.atMs < freshMs
      return isFresh ? heard(newest) : ask(call)
    }
  }
}
