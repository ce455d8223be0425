import type { EventReason, Report, StrategyReport, Traversal } from '@postern/core'
import { anySignal, type CallOptions, type Clock, type Family, familyOf, type Network } from '@postern/interface'

/** After the last change of a strategy's line nothing more can come, if no strategy is at work; events are told by then, in ms. */
const settledMs = 100
/** So long, in ms, one that is still at work may take for its next step: an attempt to map ends after 3 s. */
const workingMs = 4000
/** And so long, in ms, all of them together after the first pass. */
const maxMs = 30_000

/** Resolves when the first pass is over and no strategy can bring an outcome any more. Rejects with the signal's reason. */
export async function untilNothingCanCome(traversal: Traversal, clock: Clock, { signal }: CallOptions): Promise<void> {
  await traversal.firstPass()
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

/** Still looking, or found and perhaps asked at this moment: one that has mapped a port of one family may yet find out about the
 * other. */
const isAtWork = ({ kind, state, tookMs }: StrategyReport): boolean =>
  (kind === null || kind === 'mapper') &&
  (state === 'active' || state === 'standby' || state === 'available' || (state === 'unavailable' && tookMs === null))

/** Why no strategy has mapped a port of this family, one reason for each of them. */
export function reasonsForNothing({ strategies }: Report, network: Network, family: Family): readonly EventReason[] {
  const hasAddress = network.addresses.some((address) => familyOf(address) === family)
  const nothing = hasAddress
    ? { code: 'NO_SERVICE', message: `it maps no IPv${family} port here: name others, such as --via pcp,nat-pmp,upnp` }
    : { code: 'UNREACHABLE', message: `this host has no IPv${family} address on a network` }
  // That announcements are not heard keeps no strategy from mapping.
  return strategies.map(({ name, reason }) => ({
    strategy: name,
    ...(reason === null || reason.code === 'PORT_TAKEN' ? nothing : reason)
  }))
}
