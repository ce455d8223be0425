import type { CallOptions, Host } from '@postern/interface'
import type { Client } from './client.js'
import { type External, readExternalAddress } from './device.js'

/** Another map within this time does not ask again. What changes meanwhile shows at the next renewal, as it does when it
 * changes a moment after the map. */
const freshMs = 10_000

/** The external address of the router, as its mappings are told it. */
export interface ExternalAddress {
  /** As it was told a moment ago, when the device was found for example; else asked for. */
  fresh(call: CallOptions): Promise<string>
  ask(call: CallOptions): Promise<string>
}

export interface ExternalAddressOptions {
  readonly client: Client
  readonly host: Host
  /** The external address is another one than when it was last asked for. */
  readonly addressChanged: () => void
}

export function createExternalAddress({ client, host, addressChanged }: ExternalAddressOptions): ExternalAddress {
  let last: External | undefined

  async function ask(call: CallOptions): Promise<string> {
    const address = readExternalAddress(await client.call('connection', 'GetExternalIPAddress', {}, call))
    return heard({ address, atMs: host.clock.monotonicMs() })
  }

  function heard(external: External): string {
    const before = last
    last = external
    if (before !== undefined && before.address !== external.address) addressChanged()
    return external.address
  }

  return {
    ask,
    async fresh(call) {
      const { external: found } = client.device
      const newest = last === undefined || (found !== undefined && found.atMs > last.atMs) ? found : last
      const isFresh = newest !== undefined && host.clock.monotonicMs() - newest.atMs < freshMs
      return isFresh ? heard(newest) : ask(call)
    }
  }
}
