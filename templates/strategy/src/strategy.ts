import {
  type CallOptions,
  type Clock,
  formatMultiaddr,
  type Lease,
  type MapRequest,
  natError,
  type Strategy
} from '@postern/interface'
import { type PortServiceOptions, readOptions } from './options.js'

/** How long an aborted `map` waits for the service to close the port again, in ms. The contract allows 500. */
const undoTimeoutMs = 400

/** Returns a strategy that opens TCP ports over IPv4 through a service. Throws a TypeError for a wrong option. */
export function portService(options: PortServiceOptions): Strategy {
  const { externalAddress, service } = readOptions(options)
  return ({ clock }) => ({
    name: 'port-service',
    kind: 'mapper',

    // Discovery changes nothing. A strategy that asks a router sends its probes here, and resolves when no more can answer.
    async discover(_network, found, { signal }) {
      if (signal.aborted) return
      found({
        kind: 'mapper',
        gateway: null, // no router of `_network` does this
        family: 4,
        protocols: ['tcp'],
        map: (request, call) => map(request, call, clock)
      })
    }
  })

  /** Rejects with `UNSUPPORTED`, `NOT_AUTHORIZED` or `NETWORK_FAILURE`. */
  async function map({ endpoint }: MapRequest, call: CallOptions, clock: Clock): Promise<Lease> {
    call.signal.throwIfAborted()
    if (endpoint.family !== 4 || endpoint.protocol !== 'tcp') {
      throw natError('UNSUPPORTED', 'the port service opens TCP ports over IPv4 only')
    }
    try {
      const isOpen = await ask(service.open(endpoint.port, call), call)
      call.signal.throwIfAborted()
      if (!isOpen) throw natError('NOT_AUTHORIZED', `the port service does not open port ${endpoint.port}`)
      return leaseOf(endpoint.port)
    } catch (error) {
      // The service may have opened the port although the caller gave up.
      if (call.signal.aborted) await closeInTime(endpoint.port, clock)
      throw error
    }
  }

  /** A port of this service stays open until it is closed. A lease that expires has a finite `lifetimeMs`, as granted. */
  function leaseOf(port: number): Lease {
    let released = false
    const lease: Lease = {
      addresses: [formatMultiaddr(externalAddress, 'tcp', port)],
      lifetimeMs: Number.POSITIVE_INFINITY,
      renew: async (call) => {
        call.signal.throwIfAborted()
        return lease
      },
      async release(call) {
        call.signal.throwIfAborted()
        if (released) return
        await ask(service.close(port, call), call)
        released = true
      }
    }
    return lease
  }

  /** Closes the port, or gives up after {@link undoTimeoutMs}. Never rejects: `map` already has an error to report. */
  async function closeInTime(port: number, clock: Clock): Promise<void> {
    const limit = new AbortController()
    await Promise.race([service.close(port, limit), clock.sleep(undoTimeoutMs, limit)]).catch(() => undefined)
    limit.abort()
  }
}

/** Turns an error of the network into a NatError. An abort keeps the reason of the signal. */
async function ask<T>(request: Promise<T>, { signal }: CallOptions): Promise<T> {
  try {
    return await request
  } catch (cause) {
    signal.throwIfAborted()
    throw natError('NETWORK_FAILURE', 'the port service does not answer', { cause })
  }
}
