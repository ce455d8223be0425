import { abortReason, type Clock, type Gateway, untilAborted } from '@postern/interface'
import { keepRecent } from '../async/keep-recent.js'
import { gatewayKey } from './discoveries.js'

/** The request queue of one gateway. Its protocols share one mapping table, and many routers fail on a second request
 * while they handle the first. */
export interface GatewayQueue {
  /**
   * Runs a request of a strategy in its turn.
   *
   * Requests of one strategy run one after another: RFC 6886 §3.1 allows one outstanding request. A request also waits
   * for those of other strategies, but not for one that takes longer than the patience: a slow UPnP must not hold up
   * PCP.
   */
  run<T>(strategy: string, task: () => Promise<T>): Promise<T>
  /** Whether a request is running or waiting. */
  isBusy(): boolean
  /** Returns when the running request of a strategy exceeds the patience, in ms from now: 0 or less if it already has,
   * undefined if none is running. */
  overdueInMs(strategy: string): number | undefined
  /** Returns the longest time that a request took to be answered, or has taken so far, in ms. */
  slowestMs(): number
  /** When each strategy last asked this gateway (monotonic ms). */
  readonly lastContactMs: Map<string, number>
}

export interface GatewayQueues {
  /** Returns the queue of a gateway. Mappers without a gateway share no table and are not queued. */
  of(gateway: Gateway | null): GatewayQueue
  /** Returns the time of the slowest request of all gateways, in ms. */
  slowestMs(): number
}

/** A router that has not answered for longer is considered absent (ms). */
const absentMs = 12_000

/** @param patienceMs - how long a request holds up those of other strategies */
export function createGatewayQueues(clock: Clock, patienceMs: number): GatewayQueues {
  const queues = new Map<string, GatewayQueue>()
  const open: GatewayQueue = {
    run: (_strategy, task) => task(),
    isBusy: () => false,
    overdueInMs: () => undefined,
    slowestMs: () => 0,
    lastContactMs: new Map()
  }
  return {
    of(gateway) {
      if (gateway === null) return open
      const key = gatewayKey(gateway)
      const queue = queues.get(key) ?? createGatewayQueue(clock, patienceMs)
      keepRecent(queues, key, queue, ({ isBusy }) => isBusy())
      return queue
    },
    slowestMs: () => Math.max(0, ...[...queues.values()].map((queue) => queue.slowestMs()))
  }
}

interface Ticket {
  readonly strategy: string
  startedMs: number | undefined
}

const moved = abortReason('the queue has moved')

function createGatewayQueue(clock: Clock, patienceMs: number): GatewayQueue {
  /** In the order of arrival. */
  const tickets: Ticket[] = []
  /** The running ticket of each strategy, and a promise that resolves when its last ticket has ended. */
  const running = new Map<string, Ticket>()
  const ends = new Map<string, Promise<void>>()
  let slowestMs = 0
  let change = new AbortController()
  /** How many tickets wait for a change. */
  let waiting = 0

  function overdueInMs(strategy: string): number | undefined {
    const startedMs = running.get(strategy)?.startedMs
    return startedMs === undefined ? undefined : startedMs + patienceMs - clock.monotonicMs()
  }

  /** Returns how long a ticket must wait at least, in ms: 0 if it may run, Infinity until another one has ended. */
  function waitMs(ticket: Ticket): number {
    let ms = 0
    for (const ahead of tickets) {
      if (ahead === ticket) break
      if (ahead.strategy === ticket.strategy) return Number.POSITIVE_INFINITY
      ms = Math.max(ms, overdueInMs(ahead.strategy) ?? Number.POSITIVE_INFINITY)
    }
    // A later request may be running already, because it did not wait for an overdue one ahead of this one.
    for (const strategy of running.keys()) ms = Math.max(ms, overdueInMs(strategy) ?? 0)
    return ms
  }

  /** Lets the waiting tickets look again: a request has started or ended. */
  function hasMoved(): void {
    if (waiting === 0) return
    change.abort(moved)
    change = new AbortController()
  }

  async function untilFree(ticket: Ticket): Promise<void> {
    waiting += 1
    for (let ms = waitMs(ticket); ms > 0; ms = waitMs(ticket)) {
      const { signal } = change
      if (ms === Number.POSITIVE_INFINITY) await untilAborted(signal)
      else await clock.sleep(Math.ceil(ms), { signal }).catch(() => undefined)
    }
    waiting -= 1
  }

  return {
    overdueInMs,
    isBusy: () => tickets.length > 0,
    async run(strategy, task) {
      const ticket: Ticket = { strategy, startedMs: undefined }
      tickets.push(ticket)
      const { promise: ended, resolve: end } = Promise.withResolvers<void>()
      const before = ends.get(strategy)
      ends.set(strategy, ended)
      try {
        // Wait for the ticket before, so that only the first of thousands of one strategy watches the queue.
        if (before !== undefined) await before
        await untilFree(ticket)
        const startedMs = clock.monotonicMs()
        ticket.startedMs = startedMs
        running.set(strategy, ticket)
        hasMoved()
        const result = await task()
        slowestMs = Math.max(slowestMs, clock.monotonicMs() - startedMs)
        return result
      } finally {
        tickets.splice(tickets.indexOf(ticket), 1)
        if (running.get(strategy) === ticket) running.delete(strategy)
        if (ends.get(strategy) === ended) ends.delete(strategy)
        hasMoved()
        end()
      }
    },
    slowestMs() {
      const ages = tickets.map(({ startedMs }) => (startedMs === undefined ? 0 : clock.monotonicMs() - startedMs))
      return Math.max(slowestMs, ...ages.filter((age) => age <= absentMs))
    },
    lastContactMs: new Map()
  }
}
