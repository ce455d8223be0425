import type { Traversal } from '@postern/core'
import { endpointsOf } from './endpoints.js'
import type { Libp2pComponents } from './host.js'

/**
 * Wants the endpoint of every listener of the node, as listeners come and go, until the signal aborts.
 *
 * What it gives looks once more: a listener on a wildcard has other addresses when the network is another one, and says
 * nothing of it.
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
      traversal.want(endpoint, { suffix, signal: unwanted.signal })
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
