import { createPlaces, createRate, type PlaceRefusal, type RemoteParty } from '@postern/net'
import type { ServerSettings } from './options.js'

/**
 * The limit that rejected a request. Names that begin with `minute-` limit the requests within one minute; the others
 * limit the concurrent requests.
 */
export type LimitRefusal = PlaceRefusal | `minute-${PlaceRefusal}`

/** An admitted request. */
export interface Admitted {
  /** Returns the limit that forbids a dial now, or undefined. Takes nothing from the budget. */
  findRefusal(): LimitRefusal | undefined
  /** Takes a dial from the budget, or returns the limit that forbids it. Afterwards the request is never evicted. */
  takeDial(): LimitRefusal | undefined
  /** Releases the places of the request. */
  leave(): void
}

/** The admission control of the server. */
export interface Limits {
  /**
   * Admits a request or returns the limit that rejects it. Calls `giveUp` if a less busy prefix needs the place later.
   */
  admit(party: RemoteParty, giveUp: () => void): Admitted | LimitRefusal
}

const minuteMs = 60_000
/** Two, so that a hanging dial does not block the peer's next request. */
const maxAtOncePerPeer = 2
/**
 * Concurrent requests that are being read or that send dial data. Each holds a stream and up to 256 KiB for up to 20 s.
 */
const reading = { total: 64, network: 32, subnet: 16, ip: 8, peer: maxAtOncePerPeer }
/**
 * Requests that are read within a minute. This budget is separate from the budget of dials, since most requests lead to
 * none.
 */
const readPerMinute = { total: 1200, network: 600, subnet: 240, ip: 120, peer: 60 }

export function createLimits(settings: ServerSettings): Limits {
  const {
    clock,
    requestsPerPeer,
    requestsPerIp,
    requestsPerSubnet,
    requestsPerNetwork,
    requestsPerMinute,
    concurrency
  } = settings
  const readers = createPlaces<Reader>(reading)
  const reads = createRate(readPerMinute, minuteMs, clock)
  const dialling = createPlaces<Reader>({
    total: concurrency,
    // No separate limit for prefixes; only the share that is kept for newcomers applies.
    network: concurrency,
    subnet: concurrency,
    ip: concurrency,
    peer: maxAtOncePerPeer
  })
  const dials = createRate(
    {
      total: requestsPerMinute,
      network: requestsPerNetwork,
      subnet: requestsPerSubnet,
      ip: requestsPerIp,
      peer: requestsPerPeer
    },
    minuteMs,
    clock
  )

  function enter(reader: Reader): PlaceRefusal | undefined {
    const { party } = reader
    const refusal = readers.take(reader, party)
    if (refusal === undefined) return undefined
    const isOther = (each: Reader): boolean => each.party.address !== party.address && !dialling.has(each)
    const victim = readers.findVictim(party, refusal, isOther)
    if (victim === undefined) return refusal
    readers.free(victim)
    victim.giveUp()
    return readers.take(reader, party)
  }

  return {
    admit(party, giveUp) {
      const reader = { party, giveUp }
      const tooMany = reads.take(party)
      if (tooMany !== undefined) return `minute-${tooMany}`
      const full = enter(reader)
      if (full !== undefined) return full
      return {
        findRefusal() {
          const spent = dials.findRefusal(party)
          return spent === undefined ? dialling.findRefusal(party) : `minute-${spent}`
        },
        takeDial() {
          const busy = dialling.take(reader, party)
          if (busy !== undefined) return busy
          const spent = dials.take(party)
          if (spent === undefined) return undefined
          dialling.free(reader)
          return `minute-${spent}`
        },
        leave() {
          readers.free(reader)
          dialling.free(reader)
        }
      }
    }
  }
}

interface Reader {
  readonly party: RemoteParty
  readonly giveUp: () => void
}
