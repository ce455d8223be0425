import { AssertionError } from 'node:assert'
import { type Ability, isNotice } from '@postern/interface'
import { missingIn } from './needs.js'
import { isAbilityRule, type Rule } from './rule.js'
import { rules } from './rules/index.js'
import { openStage, type Stage } from './stage.js'
import type { AbilityKind, Subject, World } from './subject.js'
import { missingTarget, type Target, targetOf } from './target.js'

/** One rule of the contract, as a test for any test runner. */
export interface ConformanceTest {
  /** The stable id of the rule, in lower case with hyphens: `release-twice-is-once`. */
  readonly id: string
  /** The required behaviour, as a sentence. */
  readonly name: string
  /** The kinds of ability to which the rule applies. */
  readonly abilities: readonly AbilityKind[]
  /** The reason why the test cannot run on this subject; `run` then rejects. */
  readonly skip?: string
  /** Runs the test. Rejects with an `AssertionError` with a message if the rule is broken. */
  readonly run: () => Promise<void>
}

const allKinds: readonly AbilityKind[] = ['mapper', 'relay', 'forwarder', 'witness', 'observer', 'puncher']

/**
 * Resolves with the tests for a strategy. First runs the strategy in its own world to learn its abilities. Returns all
 * rules; a rule that does not apply to the strategy, or that the world cannot test, has the reason in `skip`.
 *
 * The tests are independent of each other. Two of them replace functions of the process (`setTimeout`, `Math.random`)
 * while they run, so the tests must not run concurrently.
 */
export async function conformance<W extends World>(subject: Subject<W>): Promise<readonly ConformanceTest[]> {
  const { world, targets } = await ask(subject)
  return rules.map((rule) => {
    const { id, name } = rule
    const concerned = isAbilityRule(rule) ? targets.filter(({ kind }) => rule.abilities.includes(kind)) : []
    const tested = concerned.filter((target) => !isAbilityRule(rule) || rule.exempt?.(target) === undefined)
    const skip = reasonToSkip(rule, concerned, tested) ?? missingIn(world, rule.needs)
    const base = { id, name, abilities: isAbilityRule(rule) ? rule.abilities : allKinds }
    if (skip !== undefined) return { ...base, skip, run: () => Promise.reject(new Error(`skipped: ${skip}`)) }
    return { ...base, run: () => check(rule, subject, tested) }
  })
}

interface Answer {
  readonly world: World
  readonly targets: readonly Target[]
}

async function ask<W extends World>(subject: Subject<W>): Promise<Answer> {
  const stage = await openStage(subject)
  try {
    const run = await stage.discover()
    await stage.findIn(run, () => true)
    // Further abilities, of other families or parties, usually follow the first one.
    await stage.pass(stage.isVirtual ? 5000 : 100)
    const found = run.findings.filter((finding): finding is Ability => !isNotice(finding)).map(targetOf)
    const distinct = [...new Map(found.map((target) => [target.key, target])).values()].map(
      (target, _, { length }) => ({ ...target, isOnly: length === 1 && target.kind !== 'mapper' })
    )
    const { kind } = run.discovery
    const missing = kind === undefined ? allKinds : [kind]
    return { world: stage.world, targets: distinct.length > 0 ? distinct : missing.map(missingTarget) }
  } finally {
    await stage.close()
  }
}

function reasonToSkip(rule: Rule, concerned: readonly Target[], tested: readonly Target[]): string | undefined {
  if (!isAbilityRule(rule) || tested.length > 0) return undefined
  const [first] = concerned
  if (first === undefined) return `the strategy finds no ${rule.abilities.join(' or ')}`
  return rule.exempt?.(first)
}

async function check<W extends World>(rule: Rule, subject: Subject<W>, targets: readonly Target[]): Promise<void> {
  const stages: Stage[] = []
  const open = async (): Promise<Stage> => {
    const stage = await openStage(subject)
    stages.push(stage)
    return stage
  }
  try {
    if (!isAbilityRule(rule)) return await rule.check(open)
    for (const target of targets) {
      try {
        await rule.check(open, target)
      } catch (error) {
        throw targets.length > 1 ? about(target, error) : error
      }
    }
  } finally {
    for (const stage of stages) await stage.close()
  }
}

/** Adds the name of the ability to an assertion error. */
function about({ label }: Target, error: unknown): unknown {
  if (!(error instanceof AssertionError)) return error
  const { actual, expected, operator, message } = error
  return new AssertionError({ message: `${label}: ${message}`, actual, expected, operator })
}
