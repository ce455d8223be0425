import { createPlaces, createRate, type PlaceRefusal } from '@postern/net'
import type { ServerSettings } from './options.js'

/** The limit that refused a request. Names that begin with `minute-` limit the requests within one minute that lead to a
 * connection, those that begin with `read-` all requests within one minute; the others limit the concurrent connections to
 * clients' addresses. */
export type LimitRefusal = PlaceRefusal | `minute-${PlaceRefusal}` | `read-${PlaceRefusal}`

/** The limits on connections that the server makes. */
export interface DialLimits {
  /** The number of connections that are being made, or are not closed yet. */
  readonly used: number
  /** Takes a place for a connection to an address. Returns a function that gives it back, or the limit that refuses. */
  take(address: string): (() => void) | LimitRefusal
  /** Counts a request of an address, or returns the limit that it exceeds. */
  read(address: string): `read-${PlaceRefusal}` | undefined
}

const minuteMs = 60_000
/** Concurrent connections to one address, and to one subnet. */
const maxPerIp = 8
const maxPerSubnet = 32
/** How many times as many requests are read as may lead to a connection: questions for the address, and refused ones. */
const readFactor = 4

/** Creates the limits on connections that the server makes. */
export function createDialLimits(settings: ServerSettings): DialLimits {
  const { clock, concurrency, requestsPerIp, requestsPerSubnet, requestsPerMinute } = settings
  const dialling = createPlaces<object>({
    total: concurrency,
    subnet: Math.min(maxPerSubnet, concurrency),
    ip: Math.min(maxPerIp, concurrency)
  })
  const rate = createRate({ total: requestsPerMinute, subnet: requestsPerSubnet, ip: requestsPerIp }, minuteMs, clock)
  const reads = createRate(
    {
      total: readFactor * requestsPerMinute,
      subnet: readFactor * requestsPerSubnet,
      ip: readFactor * requestsPerIp
    },
    minuteMs,
    clock
  )

  return {
    read(address) {
      const spent = reads.take({ address })
      return spent === undefined ? undefined : `read-${spent}`
    },
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
