import type { Clock, Gateway } from '@postern/interface'
import { remember } from './recent.js'
import { gatewayKey } from './roster.js'

/** Where the verbs of one gateway queue: its protocols share a table, and many routers fail on a second request while they
 * work on the first. */
export interface Desk {
  /**
   * Runs a verb of a strategy.
   *
   * Verbs of one strategy run one after another: RFC 6886 §3.1 allows one outstanding request. A verb waits for those of
   * other strategies too, but not for one that takes longer than the patience: a slow UPnP must not hold up PCP.
   */
  serve<T>(strategy: string, verb: () => Promise<T>): Promise<T>
  /** Whether a verb runs, or waits. */
  isBusy(): boolean
  /** When the running verb of a strategy has taken longer than the patience, in ms from now. 0 or less: it has. Undefined:
   * none runs. */
  overdueInMs(strategy: string): number | undefined
  /** The longest that a verb took to be answered, or takes now, in ms. */
  slowestMs(): number
  /** Until when, on the monotonic clock, a strategy must not ask this gateway for anything new. */
  readonly restsUntil: Map<string, number>
  /** When a strategy last asked here. */
  readonly heardMs: Map<string, number>
}

export interface Desks {
  /** The desk of a gateway. Abilities without one share no table, and do not queue. */
  of(gateway: Gateway | null): Desk
  /** The slowest of all gateways. */
  slowestMs(): number
}

/** A router that has not answered for longer, in ms, is taken for an absent one. */
const absentMs = 12_000

/** @param patienceMs - how long a verb holds up those of other strategies */
export function createDesks(clock: Clock, patienceMs: number): Desks {
  const desks = new Map<string, Desk>()
  const open: Desk = {
    serve: (_strategy, verb) => verb(),
    isBusy: () => false,
    overdueInMs: () => undefined,
    slowestMs: () => 0,
    restsUntil: new Map(),
    heardMs: new Map()
  }
  return {
    of(gateway) {
      if (gateway === null) return open
      const key = gatewayKey(gateway)
      const desk = desks.get(key) ?? createDesk(clock, patienceMs)
      remember(desks, key, desk, ({ isBusy }) => isBusy())
      return desk
    },
    slowestMs: () => Math.max(0, ...[...desks.values()].map((desk) => desk.slowestMs()))
  }
}

interface Ticket {
  readonly strategy: string
  startedMs: number | undefined
}

/** Made once: an abort without a reason makes a new error with its stack. */
const moved = new Error('the queue has moved')

function createDesk(clock: Clock, patienceMs: number): Desk {
  /** In the order in which they came. */
  const tickets: Ticket[] = []
  /** The ticket of each strategy whose verb is under way, and the end of the one that came last. */
  const running = new Map<string, Ticket>()
  const ends = new Map<string, Promise<void>>()
  let slowestMs = 0
  let change = new AbortController()

  function overdueInMs(strategy: string): number | undefined {
    const startedMs = running.get(strategy)?.startedMs
    return startedMs === undefined ? undefined : startedMs + patienceMs - clock.monotonicMs()
  }

  /** How long a ticket has to wait at least; 0 if it may go, Infinity until another one has ended. */
  function waitMs(ticket: Ticket): number {
    let ms = 0
    for (const ahead of tickets) {
      if (ahead === ticket) break
      if (ahead.strategy === ticket.strategy) return Number.POSITIVE_INFINITY
      ms = Math.max(ms, overdueInMs(ahead.strategy) ?? Number.POSITIVE_INFINITY)
    }
    return ms
  }

  async function untilFree(ticket: Ticket): Promise<void> {
    for (let ms = waitMs(ticket); ms > 0; ms = waitMs(ticket)) {
      const { signal } = change
      if (ms === Number.POSITIVE_INFINITY)
        await new Promise((go) => signal.addEventListener('abort', go, { once: true }))
      else await clock.sleep(Math.ceil(ms), { signal }).catch(() => undefined)
    }
  }

  return {
    overdueInMs,
    isBusy: () => tickets.length > 0,
    async serve(strategy, verb) {
      const ticket: Ticket = { strategy, startedMs: undefined }
      tickets.push(ticket)
      const { promise: ended, resolve: end } = Promise.withResolvers<void>()
      const before = ends.get(strategy)
      ends.set(strategy, ended)
      try {
        // Of thousands of tickets of one strategy, only the first looks at what changes.
        if (before !== undefined) await before
        await untilFree(ticket)
        const startedMs = clock.monotonicMs()
        ticket.startedMs = startedMs
        running.set(strategy, ticket)
        const result = await verb()
        slowestMs = Math.max(slowestMs, clock.monotonicMs() - startedMs)
        return result
      } finally {
        tickets.splice(tickets.indexOf(ticket), 1)
        if (running.get(strategy) === ticket) running.delete(strategy)
        if (ends.get(strategy) === ended) ends.delete(strategy)
        change.abort(moved)
        change = new AbortController()
        end()
      }
    },
    slowestMs() {
      const ages = tickets.map(({ startedMs }) => (startedMs === undefined ? 0 : clock.monotonicMs() - startedMs))
      return Math.max(slowestMs, ...ages.filter((age) => age <= absentMs))
    },
    restsUntil: new Map(),
    heardMs: new Map()
  }
}
