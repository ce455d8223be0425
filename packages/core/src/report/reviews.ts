import { type CallOptions, errorText, printable } from '@postern/interface'
import { createThrottle } from '../async/throttle.js'
import type { Context } from '../context.js'
import type { Reporter } from './reporter.js'

/** What a review sets going. */
export interface Reviewed {
  review(call: CallOptions): void
}

/**
 * Reviews what has changed, soon after a change and once for changes that come together: lets the parts look, and
 * tells which lines and whether the verdict differ from the last review.
 *
 * @param run - the present run; undefined while nothing is to be reviewed
 * @param parts - what looks, in this order
 * @param size - how many endpoints there are
 */
export function createReviews(
  { host, bus, candidates }: Context,
  reporter: Reporter,
  run: () => (CallOptions & Reviewed) | undefined,
  parts: readonly Reviewed[],
  size: () => number
): void {
  const throttle = createThrottle(host.clock, () => {
    try {
      return review()
    } catch (error) {
      // A fault must neither end the process nor be the last review.
      host.log.info(`a review failed: ${printable(errorText(error))}`)
      return size() + candidates.size()
    }
  })

  /** Returns how many endpoints and candidates it has looked at. */
  function review(): number {
    const current = run()
    if (current === undefined) return 0
    for (const part of [current, ...parts]) part.review(current)
    for (const line of reporter.news()) bus.emit('strategy', line)
    const { verdict, cause, externalAddresses, nat } = reporter.summary()
    bus.emit('reviewed', verdict)
    if (throttle.isNews(JSON.stringify([verdict, cause, externalAddresses, nat])))
      bus.emit('verdict', reporter.report())
    return size() + candidates.size()
  }

  bus.on('reportChanged', () => {
    const current = run()
    if (current !== undefined) throttle.soon(current)
  })
}
