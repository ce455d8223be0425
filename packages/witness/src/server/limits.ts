import { createPlaces, createRate, type PlaceRefusal } from '@postern/net'
import type { ServerSettings } from './options.js'

/** The limit that refused a request. Names that begin with `minute-` limit the requests within one minute; the others
 * limit the concurrent connections to clients' addresses. */
export type LimitRefusal = PlaceRefusal | `minute-${PlaceRefusal}`

/** The limits on connections that the server makes. */
export interface DialLimits {
  /** The number of connections that are being made, or are not closed yet. */
  readonly used: number
  /** Takes a place for a connection to an address. Returns a function that gives it back, or the limit that refuses. */
  take(address: string): (() => void) | LimitRefusal
}

const minuteMs = 60_000
/** Concurrent connections to one address, and to one subnet. */
const maxPerIp = 8
const maxPerSubnet = 32

/** Creates the limits on connections that the server makes. */
export function createDialLimits(settings: ServerSettings): DialLimits {
  const { clock, concurrency, requestsPerIp, requestsPerSubnet, requestsPerMinute } = settings
  const dialling = createPlaces<object>({
    total: concurrency,
    subnet: Math.min(maxPerSubnet, concurrency),
    ip: Math.min(maxPerIp, concurrency)
  })
  const rate = createRate({ total: requestsPerMinute, subnet: requestsPerSubnet, ip: requestsPerIp }, minuteMs, clock)

  return {
    get used() {
      return dialling.used
    },
    take(address) {
      const member = {}
      const busy = dialling.take(member, { address })
      if (busy !== undefined) return busy
      const spent = rate.take({ address })
      if (spent === undefined) return () => dialling.free(member)
      dialling.free(member)
      return `minute-${spent}`
    }
  }
}
