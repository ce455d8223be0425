import type { Gateway } from '@postern/interface'
import { remember } from './recent.js'
import { gatewayKey } from './roster.js'

/** Where the calls to one gateway queue up: its protocols share a table, and many routers fail on a second request
 * while they work on the first. */
export interface Desk {
  /** Runs a verb when all before it have ended. */
  serve<T>(verb: () => Promise<T>): Promise<T>
  /** Whether a verb would have to wait. */
  isBusy(): boolean
  /** Until when, on the monotonic clock, a strategy must not ask this gateway for anything new. */
  readonly restsUntil: Map<string, number>
  /** When a strategy last asked here. */
  readonly heardMs: Map<string, number>
}

export interface Desks {
  /** The desk of a gateway. Abilities without one share no table, and do not queue. */
  of(gateway: Gateway | null): Desk
}

export function createDesks(): Desks {
  const desks = new Map<string, Desk>()
  const open: Desk = { serve: (verb) => verb(), isBusy: () => false, restsUntil: new Map(), heardMs: new Map() }
  return {
    of(gateway) {
      if (gateway === null) return open
      const key = gatewayKey(gateway)
      const desk = desks.get(key) ?? createDesk()
      remember(desks, key, desk, ({ isBusy }) => isBusy())
      return desk
    }
  }
}

function createDesk(): Desk {
  let last: Promise<unknown> = Promise.resolve()
  let count = 0
  return {
    serve(verb) {
      count++
      const begin = async (): ReturnType<typeof verb> => {
        try {
          return await verb()
        } finally {
          count--
        }
      }
      const turn = last.then(begin, begin)
      last = turn
      return turn
    },
    isBusy: () => count > 0,
    restsUntil: new Map(),
    heardMs: new Map()
  }
}
