import type { Traversal } from '@postern/core'
import { endpointsOf } from './endpoints.js'
import type { Libp2pComponents } from './host.js'

/**
 * Adds the endpoint of every listener of the node to the traversal and removes it with the listener, until the signal
 * aborts.
 *
 * @returns a function that reads the listeners again. A listener on a wildcard has other addresses after a network
 * change but emits no event
 */
export function followListeners(
  { events, transportManager }: Libp2pComponents,
  traversal: Traversal,
  signal: AbortSignal
): () => void {
  const wanted = new Map<string, AbortController>()

  function look(): void {
    const listening = new Map(
      endpointsOf(transportManager.getAddrs()).map((each) => [JSON.stringify(each), each] as const)
    )
    for (const [key, unwanted] of wanted) {
      if (listening.has(key)) continue
      wanted.delete(key)
      unwanted.abort()
    }
    for (const [key, { endpoint, suffix }] of listening) {
      if (wanted.has(key)) continue
      const unwanted = new AbortController()
      wanted.set(key, unwanted)
      traversal.addEndpoint(endpoint, { suffix, signal: unwanted.signal })
    }
  }

  events.addEventListener('transport:listening', look)
  events.addEventListener('transport:close', look)
  signal.addEventListener(
    'abort',
    () => {
      events.removeEventListener('transport:listening', look)
      events.removeEventListener('transport:close', look)
      for (const unwanted of wanted.values()) unwanted.abort()
      wanted.clear()
    },
    { once: true }
  )
  return look
}
