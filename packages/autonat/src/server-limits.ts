import { createPlaces, createRate, type Party, type PlaceRefusal } from '@postern/net'
import type { ServerSettings } from './server-options.js'

/** Why a request is turned away: `minute` is the number of requests in a minute, the others that of requests at a time. */
export type LimitRefusal = PlaceRefusal | `minute-${PlaceRefusal}`

/** A request that was let in. */
export interface Admitted {
  /** Returns why no address may be dialled for it, and takes nothing. */
  findRefusal(): LimitRefusal | undefined
  /** Takes a dial out of the budget. From then on the request is not given up for another one. */
  takeDial(): LimitRefusal | undefined
  /** Gives the places back. */
  leave(): void
}

/** Which peers may still ask. */
export interface Limits {
  /** Lets a request in, or returns why not. Calls `giveUp` when a request of a prefix that has fewer needs the place. */
  admit(party: Party, giveUp: () => void): Admitted | LimitRefusal
}

const minuteMs = 60_000
/** Beyond one at a time, so that a second question does not have to wait for a dial that hangs. */
const maxAtOncePerPeer = 2
/** Requests that are read, or paid for with data, at a time: each holds a stream and 256 KiB at most, for 20 s. */
const reading = { total: 64, network: 32, subnet: 16, ip: 8, peer: maxAtOncePerPeer }
/** Requests that are read in a minute. Most of them lead to no dial: what is not dialled for has a budget of its own. */
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
    // No bound of their own, but the share of newcomers.
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
  readonly party: Party
  readonly giveUp: () => void
}
