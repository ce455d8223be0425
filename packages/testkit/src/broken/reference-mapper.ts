import {
  anySignal,
  type CallOptions,
  formatMultiaddr,
  type Gateway,
  type Host,
  type Lease,
  type Mapper,
  type MapRequest,
  natError,
  type Strategy
} from '@postern/interface'
import type { ReferenceGrant, ReferenceTable, ReferenceWish } from './reference-table.js'

/** Time limit for undoing an aborted request (ms). The contract allows 500 ms. */
const undoMs = 400
/** After this time without an answer, the strategy reports the gateway as absent (ms). */
const silenceMs = 1000

/**
 * Creates the honest strategy on a {@link ReferenceTable}. It keeps every rule of the contract. Each broken strategy is
 * this one with a single change.
 */
export function referenceMapper(table: ReferenceTable): Strategy {
  return (host) => ({
    name: 'reference',
    kind: 'mapper',
    async discover(network, found, { signal }) {
      const [gateway] = network.gateways
      if (gateway === undefined) throw natError('NO_GATEWAY', 'there is no gateway to ask')
      if (signal.aborted) return
      const close = table.openSocket()
      const aborted = Promise.withResolvers<void>()
      const abort = (): void => aborted.resolve()
      signal.addEventListener('abort', abort, { once: true })
      const answered = new AbortController()
      const silence = async (): Promise<void> => {
        await host.clock.sleep(silenceMs, { signal: anySignal([signal, answered.signal]) })
        found({
          kind: 'notice',
          what: 'absent',
          gateway,
          reason: natError('NO_REPLY', 'the gateway has not answered yet')
        })
      }
      silence().catch(() => undefined)
      try {
        await Promise.race([table.probe({ signal }), aborted.promise])
        answered.abort()
        if (!signal.aborted) found(mapperOn(table, host, gateway))
        await aborted.promise
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        answered.abort()
        signal.removeEventListener('abort', abort)
        close()
      }
    }
  })
}

function mapperOn(table: ReferenceTable, host: Host, gateway: Gateway): Mapper {
  return {
    kind: 'mapper',
    gateway,
    family: 4,
    protocols: ['tcp', 'udp'],
    async map(request, { signal }) {
      if (request.endpoint.family !== 4) throw new TypeError('the reference mapper maps IPv4 only')
      const wish = wishOf(request)
      signal.throwIfAborted()
      try {
        return leaseOf(table, host, wish, await table.map(wish, { signal }))
      } catch (error) {
        if (!signal.aborted) throw error
        await undo(table, host, wish)
        throw signal.reason
      }
    },
    undo: (request, call) => table.unmap(wishOf(request), call)
  }
}

/** Returns the request to the table for a request to the strategy. */
export function wishOf({ endpoint, suggestedExternalPort, lifetimeMs, key }: MapRequest): ReferenceWish {
  const { protocol, address, port } = endpoint
  return { protocol, internalAddress: address, internalPort: port, suggestedExternalPort, lifetimeMs, key: key.slice() }
}

async function undo(table: ReferenceTable, host: Host, wish: ReferenceWish): Promise<void> {
  const done = new AbortController()
  const call = { signal: done.signal }
  // A failure is ignored, since nothing more can be done.
  await Promise.race([table.unmap(wish, call), host.clock.sleep(undoMs, call)]).catch(() => undefined)
  done.abort()
}

function leaseOf(table: ReferenceTable, host: Host, wish: ReferenceWish, grant: ReferenceGrant): Lease {
  let released: Promise<void> | undefined
  const { externalAddress, externalPort, lifetimeMs } = grant
  return Object.freeze({
    addresses: Object.freeze([formatMultiaddr(externalAddress, wish.protocol, externalPort)]),
    lifetimeMs,
    async renew(call: CallOptions) {
      const again = { ...wish, suggestedExternalPort: externalPort }
      return leaseOf(table, host, again, await table.map(again, call))
    },
    release(call: CallOptions) {
      released ??= table.unmap(wish, call).catch((error: unknown) => {
        released = undefined
        throw error
      })
      return released
    }
  })
}
