import { type CallOptions, type Host, isNatError, type NatError, natError } from '@postern/interface'
import type { Client } from '../device/client.js'
import { type External, isNoAddress, readExternalAddress } from '../device/device.js'

/** How long an external address is reused for another map, in ms. A change meanwhile is noticed at the next renewal,
 * like a change directly after the map. */
const freshMs = 10_000
/** The placeholder for an address that the router does not tell. */
const unknownAddress = '0.0.0.0'

/** The external address, and why it is uncertain. */
export interface ToldAddress {
  readonly address: string
  readonly caveat?: NatError
  /** Whether the router answered the question for its address with "no such mapping". Such a router may also report
   * existing mappings as absent. */
  readonly isConfused?: boolean
}

/** The external address of the router for its mappings. If the router does not tell it but maps ports, it is the last
 * known one, or `0.0.0.0`, with a caveat. */
export interface ExternalAddress {
  /** Resolves to the address that the router told within the last 10 s, otherwise asks. Rejects like `ask`. */
  fresh(call: CallOptions): Promise<ToldAddress>
  /** Asks the router. Rejects with a NatError if the router is gone or has no external address. */
  ask(call: CallOptions): Promise<ToldAddress>
}

/** The options of {@link createExternalAddress}. */
export interface ExternalAddressOptions {
  readonly client: Client
  readonly host: Host
  /** Called when the external address differs from the previous one. */
  readonly addressChanged: () => void
}

/** Creates the external address of one device. */
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
