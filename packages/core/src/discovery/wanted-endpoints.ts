import { checkLifetime } from '../check-options.js'
import { checkOptions, type Endpoint } from '@postern/interface'
import type { WantOptions } from '../options.js'
import { checkEndpoint, checkPort, checkSuffix, type Want, wantKey } from './endpoints.js'

/** The wanted endpoints. Each is listed once, with a count of its users. */
export interface Wanted {
  /** Adds an endpoint until the signal aborts. Throws a TypeError for an invalid endpoint or option. */
  add(endpoint: Endpoint, options: WantOptions): void
  all(): readonly Want[]
  /** Whether exactly this endpoint is wanted, or its port on the wildcard address. */
  includes(endpoint: Endpoint): boolean
  size(): number
}

/** @param lifetimeMs - the lifetime if the options name none */
export function createWanted(lifetimeMs: number, added: (want: Want) => void, removed: (want: Want) => void): Wanted {
  const entries = new Map<string, { readonly want: Want; users: number }>()

  function letGo(key: string): void {
    const entry = entries.get(key)
    if (entry === undefined || --entry.users > 0) return
    entries.delete(key)
    removed(entry.want)
  }

  return {
    add(endpoint, options) {
      checkOptions('want()', options, { signal: 'signal', externalPort: 'any', lifetimeMs: 'number', suffix: 'string' })
      const { signal, externalPort, lifetimeMs: wantedMs = lifetimeMs, suffix = '' } = options
      checkEndpoint(endpoint)
      if (externalPort !== undefined) checkPort('externalPort', externalPort)
      if (options.lifetimeMs !== undefined) checkLifetime('lifetimeMs', options.lifetimeMs)
      checkSuffix(suffix)
      if (signal?.aborted === true) return
      const key = wantKey(endpoint)
      const known = entries.get(key)
      signal?.addEventListener('abort', () => letGo(key), { once: true })
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
