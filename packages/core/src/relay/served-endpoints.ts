import { type Endpoint, isWildcard } from '@postern/interface'
import type { Context } from '../context.js'
import { wantKey } from '../discovery/endpoints.js'

/** The endpoints that a direct address leads to which witnesses have verified. */
export interface ServedEndpoints {
  /** Looks at the candidates. Returns whether the outcome differs from the last look. */
  look(): boolean
  /** Whether an endpoint, or any socket of its port if it is on the wildcard address, is served. */
  has(endpoint: Endpoint): boolean
}

export function createServedEndpoints({ candidates }: Context): ServedEndpoints {
  let served: ReadonlySet<string> = new Set()
  return {
    look() {
      const now = new Set<string>()
      for (const candidate of candidates.all()) {
        const { type, endpoint } = candidate
        if (type === 'relayed' || endpoint === null || candidates.state(candidate) !== 'verified') continue
        now.add(wantKey(endpoint))
        now.add(wantKey({ ...endpoint, address: endpoint.family === 4 ? '0.0.0.0' : '::' }))
      }
      const isNews = now.size !== served.size || [...now].some((key) => !served.has(key))
      served = now
      return isNews
    },
    has: (endpoint) =>
      served.has(
        wantKey(
          isWildcard(endpoint.address) ? { ...endpoint, address: endpoint.family === 4 ? '0.0.0.0' : '::' } : endpoint
        )
      )
  }
}
