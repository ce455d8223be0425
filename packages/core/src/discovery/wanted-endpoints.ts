import { checkOptions, type Endpoint } from '@postern/interface'
import { checkLifetime } from '../check-options.js'
import { checkEndpoint, checkPort, checkSuffix, type WantedEndpoint, wantKey } from './endpoints.js'

/** How one endpoint is mapped. */
export interface WantOptions {
  /** Aborts when the endpoint is no longer wanted; its mapping is released then. */
  readonly signal?: AbortSignal
  /** The external port to request first. A port below 1024 is requested only if it is named here.
   * @default the endpoint's own port */
  readonly externalPort?: number
  /** The lifetime to request, in ms.
   * @default the policy's */
  readonly lifetimeMs?: number
  /** What follows the port in the endpoint's addresses, `/ws` or `/quic-v1` for example. The addresses are reported
   * and verified with it. If an endpoint is wanted twice, the first suffix counts.
   * @default nothing */
  readonly suffix?: string
}

/** The wanted endpoints. Each is listed once, with a count of its users. */
export interface WantedEndpoints {
  /** Adds an endpoint until the signal aborts. Throws a TypeError for an invalid endpoint or option. */
  add(endpoint: Endpoint, options: WantOptions): void
  all(): readonly WantedEndpoint[]
  /** Whether exactly this endpoint is wanted, or its port on the wildcard address. */
  includes(endpoint: Endpoint): boolean
  size(): number
}

/** @param lifetimeMs - the lifetime if the options name none */
export function createWantedEndpoints(
  lifetimeMs: number,
  added: (want: WantedEndpoint) => void,
  removed: (want: WantedEndpoint) => void
): WantedEndpoints {
  const entries = new Map<string, { readonly want: WantedEndpoint; users: number }>()

  function removeUser(key: string): void {
    const entry = entries.get(key)
    if (entry === undefined || --entry.users > 0) return
    entries.delete(key)
    removed(entry.want)
  }

  return {
    add(endpoint, options) {
      checkOptions('addEndpoint()', options, {
        signal: 'signal',
        externalPort: 'any',
        lifetimeMs: 'number',
        suffix: 'string'
      })
      const { signal, externalPort, lifetimeMs: wantedMs = lifetimeMs, suffix = '' } = options
      checkEndpoint(endpoint)
      if (externalPort !== undefined) checkPort('externalPort', externalPort)
      if (options.lifetimeMs !== undefined) checkLifetime('lifetimeMs', options.lifetimeMs)
      checkSuffix(suffix)
      if (signal?.aborted === true) return
      const key = wantKey(endpoint)
      const known = entries.get(key)
      signal?.addEventListener('abort', () => removeUser(key), { once: true })
      if (known !== undefined) return void known.users++
      const want = { endpoint, externalPort, lifetimeMs: wantedMs, suffix }
      entries.set(key, { want, users: 1 })
      added(want)
    },
    all: () => [...entries.values()].map(({ want }) => want),
    includes(endpoint) {
      const wildcard = endpoint.family === 4 ? '0.0.0.0' : '::'
      return entries.has(wantKey(endpoint)) || entries.has(wantKey({ ...endpoint, address: wildcard }))
    },
    size: () => entries.size
  }
}
