import type { ServerSettings } from './server-options.js'

/** Who may still ask. */
export interface Limits {
  /** A place, to be given back when the request is over; undefined if there is none. */
  findPlace(peerId: string): (() => void) | undefined
}

const minuteMs = 60_000
/** Beyond one at a time, so that a second question does not have to wait for a dial that hangs. */
const mostAtOncePerPeer = 2

/** Only what was let in is remembered, so that the tables are never larger than the limits. */
export function createLimits({ clock, requestsPerPeer, requestsPerMinute, concurrency }: ServerSettings): Limits {
  let admitted: readonly { readonly peerId: string; readonly atMs: number }[] = []
  const working: string[] = []
  const countOf = (list: readonly string[], peerId: string): number => list.filter((each) => each === peerId).length

  return {
    findPlace(peerId) {
      const nowMs = clock.monotonicMs()
      admitted = admitted.filter(({ atMs }) => atMs > nowMs - minuteMs)
      const ofPeer = admitted.filter((each) => each.peerId === peerId)
      if (admitted.length >= requestsPerMinute || ofPeer.length >= requestsPerPeer) return undefined
      if (working.length >= concurrency || countOf(working, peerId) >= mostAtOncePerPeer) return undefined
      admitted = [...admitted, { peerId, atMs: nowMs }]
      working.push(peerId)
      return () => void working.splice(working.indexOf(peerId), 1)
    }
  }
}
