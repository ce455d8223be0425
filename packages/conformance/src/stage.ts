import { fail } from 'node:assert/strict'
import { type Ability, type Discovery, type Finding, type Host, isNotice, type Network } from '@postern/interface'
import type { Subject, World } from './subject.js'
import { type Target, targetOf } from './target.js'

/** How a promise stands after some time. */
export type Outcome<T> =
  | { readonly state: 'fulfilled'; readonly value: T; readonly atMs: number }
  | { readonly state: 'rejected'; readonly reason: unknown; readonly atMs: number }
  | { readonly state: 'pending' }

/** A discovery under way. */
export interface Run {
  readonly discovery: Discovery
  readonly findings: readonly Finding[]
  /** What `discover` returned. */
  readonly done: Promise<void>
  readonly signal: AbortSignal
  stop(reason?: unknown): void
}

/** One world with a host in it, for one test. */
export interface Stage {
  readonly world: World
  readonly host: Host
  /** Whether waiting costs nothing. */
  readonly isVirtual: boolean
  /** Everything that was logged. */
  readonly lines: readonly string[]
  /** Makes the strategy, as another process would do. */
  create(): Promise<Discovery>
  discover(options?: { readonly network?: Network; readonly signal?: AbortSignal }): Promise<Run>
  /** Discovers and waits for what is to be tested. */
  ability(target: Target): Promise<Ability>
  /** Waits for an ability of a discovery under way. */
  findIn(run: Run, wanted: (ability: Ability) => boolean, limitMs?: number): Promise<Ability | undefined>
  /** Lets time pass. */
  pass(ms: number): Promise<void>
  /** Lets time pass until the promise is settled, or the limit is reached. */
  outcome<T>(promise: Promise<T>, limitMs?: number): Promise<Outcome<T>>
  close(): Promise<void>
}

/** In real time nobody waits longer. */
const realLimitMs = 10_000

/** Opens a world of the subject. */
export async function openStage<W extends World>(subject: Subject<W>): Promise<Stage> {
  const world = await subject.world()
  const { clock, network: ownNetwork } = world
  const lines: string[] = []
  const write = (text: string): void => {
    lines.push(text)
  }
  const host: Host = { clock, random: () => 0.5, log: { debug: write, info: write } }
  const isVirtual = clock.advance !== undefined
  const runs = new Set<AbortController>()

  const pass: Stage['pass'] = async (ms) => {
    if (clock.advance !== undefined) await clock.advance(ms)
    else await clock.sleep(ms, { signal: new AbortController().signal })
  }

  const outcome = async <T>(promise: Promise<T>, limitMs = 10_000): Promise<Outcome<T>> => {
    let settled: Outcome<T> | undefined
    const over = new AbortController()
    const watched = promise.then(
      (value) => {
        settled = { state: 'fulfilled', value, atMs: clock.monotonicMs() }
        over.abort()
      },
      (reason: unknown) => {
        settled = { state: 'rejected', reason, atMs: clock.monotonicMs() }
        over.abort()
      }
    )
    if (isVirtual) {
      await pass(0)
      for (let waited = 0, step = 10; settled === undefined && waited < limitMs; waited += step) {
        step = waited < 1000 ? 10 : 250
        await pass(step)
      }
    } else {
      const limit = clock.sleep(Math.min(limitMs, realLimitMs), { signal: over.signal }).catch(() => undefined)
      await Promise.race([watched, limit])
      over.abort()
    }
    return settled ?? { state: 'pending' }
  }

  const create: Stage['create'] = async () => (await subject.create(world))(host)

  const discover: Stage['discover'] = async ({ network = ownNetwork, signal } = {}) => {
    const discovery = await create()
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
    create,
    discover,
    findIn,
    async ability(target) {
      const run = await discover()
      return (
        (await findIn(run, (each) => targetOf(each).key === target.key)) ?? fail(`discover finds no ${target.label}`)
      )
    },
    pass,
    outcome,
    async close() {
      for (const controller of runs) controller.abort()
      // Whatever still wants to end does so before the world does.
      await pass(0)
      await world.close?.()
    }
  }
}
