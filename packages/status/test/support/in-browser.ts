import { LabError, prepareChromium } from '@postern/lab'
import axe from 'axe-core'
import { afterAll } from 'vitest'
import { startChromium } from './chromium.mjs'

type Chromium = Awaited<ReturnType<typeof startChromium>>
/** A tab of its own, without the cookies of others. */
export type Tab = Awaited<ReturnType<Chromium['tab']>>

/** The path of Chromium, or why there is none. */
export const browser:
  | { readonly ok: true; readonly program: string }
  | { readonly ok: false; readonly reason: string } = await prepareChromium().then(
  (program) => ({ ok: true, program }) as const,
  (error: unknown) => {
    if (!(error instanceof LabError)) throw error
    return { ok: false, reason: error.message } as const
  }
)
/** The reason for skipping, for titles. */
export const why: string = browser.ok ? '' : ` (skipped: ${browser.reason})`

let running: Promise<Chromium> | undefined
afterAll(async () => {
  await (await running)?.close()
})

/** Opens a tab of 1100 × 800. */
export async function openTab(): Promise<Tab> {
  if (!browser.ok) throw new Error(browser.reason)
  running ??= startChromium(browser.program)
  const tab = await (await running).tab()
  await tab.resize(1100, 800)
  return tab
}

/** Resolves with what axe-core finds: the rule, and the elements. */
export async function violationsIn(tab: Tab): Promise<readonly string[]> {
  await tab.evaluate(`${axe.source}; undefined`)
  const found: unknown = await tab.evaluate(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary).join(' | ')))`
  )
  return found as readonly string[]
}
