import { fail } from 'node:assert/strict'
import {
  type Ability,
  type CarriedConnection,
  type Discovery,
  type Finding,
  type Host,
  isNotice,
  type Network
} from '@postern/interface'
import type { Subject, World } from './subject.js'
import { type Target, targetOf } from './target.js'

/** The state of a promise after some time. */
export type Outcome<T> =
  | { readonly state: 'fulfilled'; readonly value: T; readonly atMs: number }
  | { readonly state: 'rejected'; readonly reason: unknown; readonly atMs: number }
  | { readonly state: 'pending' }

/** A running discovery. */
export interface Run {
  readonly discovery: Discovery
  readonly findings: readonly Finding[]
  /** The promise that `discover` returned. */
  readonly done: Promise<void>
  readonly signal: AbortSignal
  stop(reason?: unknown): void
}

/** One world with a host, for one test. */
export interface Stage {
  readonly world: World
  readonly host: Host
  /** Whether the clock is virtual, so that waiting takes no real time. */
  readonly isVirtual: boolean
  /** All logged lines. */
  readonly lines: readonly string[]
  /** The connections of which a forwarder has told the host. */
  readonly carried: readonly CarriedConnection[]
  /** Creates the strategy, as a new process would. */
  create(): Promise<Discovery>
  /** Starts discover, with the given strategy or a new one. */
  discover(options?: {
    readonly discovery?: Discovery
    readonly network?: Network
    readonly signal?: AbortSignal
  }): Promise<Run>
  /** Starts discover and resolves with the ability under test. Fails the test if it is not found. */
  ability(target: Target): Promise<Ability>
  /** Waits for an ability of a running discovery. */
  findIn(run: Run, wanted: (ability: Ability) => boolean, limitMs?: number): Promise<Ability | undefined>
  /** Advances the clock; in real time waits at most 100 ms. */
  pass(ms: number): Promise<void>
  /** Advances the clock until the promise settles or the limit is reached. */
  outcome<T>(promise: Promise<T>, limitMs?: number): Promise<Outcome<T>>
  close(): Promise<void>
}

/** Limits for waits in real time, in milliseconds: for an event, and to see that no event occurs. */
const realLimitMs = 10_000
const realPassMs = 100

/** Opens a world of the subject. */
export async function openStage<W extends World>(subject: Subject<W>): Promise<Stage> {
  const world = await subject.world()
  const { clock, network: ownNetwork } = world
  const lines: string[] = []
  const write = (text: string): void => {
    lines.push(text)
  }
  const carried: CarriedConnection[] = []
  const tell = (connection: CarriedConnection): void => void carried.push(connection)
  const host: Host = { clock, random: () => 0.5, log: { debug: write, info: write }, carried: tell }
  const isVirtual = clock.advance !== undefined
  const runs = new Set<AbortController>()

  const pass: Stage['pass'] = async (ms) => {
    if (clock.advance !== undefined) await clock.advance(ms)
    else await clock.sleep(Math.min(ms, realPassMs), { signal: new AbortController().signal })
  }

  const outcome = async <T>(promise: Promise<T>, limitMs = 10_000): Promise<Outcome<T>> => {
    const state: { settled: Outcome<T> } = { settled: { state: 'pending' } }
    const over = new AbortController()
    const watch = async (): Promise<void> => {
      try {
        const value = await promise
        state.settled = { state: 'fulfilled', value, atMs: clock.monotonicMs() }
      } catch (reason) {
        state.settled = { state: 'rejected', reason, atMs: clock.monotonicMs() }
      }
      over.abort()
    }
    const watching = watch()
    if (isVirtual) {
      await pass(0)
      for (let waited = 0, step = 10; state.settled.state === 'pending' && waited < limitMs; waited += step) {
        step = waited < 1000 ? 10 : 250
        await pass(step)
      }
    } else {
      const limit = clock.sleep(Math.min(limitMs, realLimitMs), { signal: over.signal }).catch(() => undefined)
      await Promise.race([watching, limit])
      over.abort()
    }
    return state.settled
  }

  const create: Stage['create'] = async () => (await subject.create(world))(host)

  const discover: Stage['discover'] = async ({ discovery: made, network = ownNetwork, signal } = {}) => {
    const discovery = made ?? (await create())
    const controller = new AbortController()
    runs.add(controller)
    const findings: Finding[] = []
    const own = signal ?? controller.signal
    const done = discovery.discover(network, (finding) => findings.push(finding), { signal: own })
    done.catch(() => undefined)
    return { discovery, findings, done, signal: own, stop: (reason) => controller.abort(reason) }
  }

  const findIn: Stage['findIn'] = async (run, wanted, limitMs = 200_000) => {
    const find = (): Ability | undefined =>
      run.findings.find((finding): finding is Ability => !isNotice(finding) && wanted(finding))
    await pass(0)
    const limit = isVirtual ? limitMs : Math.min(limitMs, realLimitMs)
    const over = clock.monotonicMs() + limit
    for (let waited = 0; find() === undefined && clock.monotonicMs() < over; waited += 1)
      await pass(waited < 100 ? 10 : 250)
    return find()
  }

  return {
    world,
    host,
    isVirtual,
    lines,
    carried,
    create,
    discover,
    findIn,
    async ability(target) {
      const run = await discover()
      const isMeant = (each: Ability): boolean =>
        target.isOnly === true ? each.kind === target.kind : targetOf(each).key === target.key
      return (await findIn(run, isMeant)) ?? fail(`discover finds no ${target.label}`)
    },
    pass,
    outcome,
    async close() {
      for (const controller of runs) controller.abort()
      // Lets the aborted discoveries end before the world is closed.
      await pass(0)
      await world.close?.()
    }
  }
}
