import type { EventReason, Report, StrategyReport, Traversal } from '@postern/core'
import { anySignal, type CallOptions, type Clock, type Family, familyOf, type Network } from '@postern/interface'

/** The wait after the last change of a strategy if no strategy is working, in ms; all events have been emitted by
 * then. */
const settledMs = 100
/** The wait for the next change while a strategy is working, in ms: an attempt to map ends after 3 s. */
const workingMs = 4000
/** The end of the wait, in ms after the first pass, even if a strategy is still working: `--once` is for scripts. */
const maxMs = 30_000

/** Resolves when the first pass is over and no strategy can produce a result any more. Rejects with the signal's
 * reason. */
export async function untilNothingCanCome(traversal: Traversal, clock: Clock, { signal }: CallOptions): Promise<void> {
  await traversal.settled()
  const endMs = clock.monotonicMs() + maxMs
  let isNews = true
  while (isNews) {
    signal.throwIfAborted()
    const over = new AbortController()
    const news = new Promise<boolean>((resolve) =>
      traversal.addEventListener('strategy', () => resolve(true), { signal: over.signal })
    )
    const stepMs = traversal.report().strategies.some(isAtWork) ? workingMs : settledMs
    const quiet = clock
      .sleep(Math.max(0, Math.min(stepMs, endMs - clock.monotonicMs())), {
        signal: anySignal([signal, over.signal])
      })
      .then(
        () => false,
        () => true
      )
    isNews = (await Promise.race([news, quiet])) && clock.monotonicMs() < endMs
    over.abort()
  }
  signal.throwIfAborted()
}

/** Returns whether a strategy is still searching, or may be mapping at the moment. One that has mapped a port of one
 * family may still have the other one to map. */
const isAtWork = ({ kind, state, tookMs }: StrategyReport): boolean =>
  (kind === null || kind === 'mapper') &&
  (state === 'active' || state === 'standby' || state === 'available' || (state === 'unavailable' && tookMs === null))

/** Returns why no strategy has mapped a port of a family, with one reason for each strategy. */
export function reasonsForNothing({ strategies }: Report, network: Network, family: Family): readonly EventReason[] {
  const hasAddress = network.addresses.some((address) => familyOf(address) === family)
  const nothing = hasAddress
    ? { code: 'NO_SERVICE', message: `it maps no IPv${family} port here: name others, such as --via pcp,nat-pmp,upnp` }
    : { code: 'UNREACHABLE', message: `this host has no IPv${family} address on a network` }
  // A taken announcement port does not prevent mapping.
  return strategies.map(({ name, reason }) => ({
    strategy: name,
    ...(reason === null || reason.code === 'PORT_TAKEN' ? nothing : reason)
  }))
}
