import type { MappingEvent, Traversal } from '@postern/core'
import type { Endpoint } from '@postern/interface'
import type { PortMapping } from './port-mapping-types.js'

/**
 * Resolves with the first mapping of an endpoint. Rejects with an Error with every strategy's reason, or with the
 * signal's reason.
 */
export function outcomeOf(
  traversal: Traversal,
  { protocol, address, port }: Endpoint,
  signal: AbortSignal
): Promise<PortMapping> {
  return new Promise((resolve, reject) => {
    const heard = new AbortController()
    const each = ({ detail }: CustomEvent<MappingEvent>): void => {
      const { internal, external, event, reasons = [] } = detail
      if (detail.protocol !== protocol || internal.address !== address || internal.port !== port) return
      heard.abort()
      if (event === 'mapped' && external !== null) {
        resolve({
          externalHost: external.address,
          externalPort: external.port,
          internalHost: address,
          internalPort: port,
          protocol: protocol === 'tcp' ? 'TCP' : 'UDP'
        })
      } else reject(new Error(reasons.map(({ strategy, message }) => `${strategy}: ${message}`).join('; ')))
    }
    traversal.addEventListener('mapped', each, { signal: heard.signal })
    traversal.addEventListener('failed', each, { signal: heard.signal })
    const aborted = (): void => {
      heard.abort()
      reject(signal.reason)
    }
    signal.addEventListener('abort', aborted, { signal: heard.signal })
  })
}

/** Resolves when the mapping was released, was lost, or has failed. */
export function releaseOf(traversal: Traversal, { internalHost, internalPort, protocol }: PortMapping): Promise<void> {
  return new Promise((resolve) => {
    const heard = new AbortController()
    const each = ({ detail }: CustomEvent<MappingEvent>): void => {
      const { internal } = detail
      if (
        detail.protocol.toUpperCase() !== protocol ||
        internal.address !== internalHost ||
        internal.port !== internalPort
      )
        return
      heard.abort()
      resolve()
    }
    for (const event of ['released', 'lost', 'failed'] as const)
      traversal.addEventListener(event, each, { signal: heard.signal })
  })
}
