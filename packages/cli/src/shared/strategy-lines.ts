import type { StrategyReport } from '@postern/core'
import { line, type Output } from './output.js'
import { colorsFor, formatStrategy } from './terminal.js'
import { columnsOf } from './wrap-lines.js'

type Reason = NonNullable<StrategyReport['reason']>

/** Returns a function that writes a line for each change of a strategy. Writes only once that a port is taken, because
 * mappings work without it. */
export function createStrategyLines(
  err: Output['err'],
  /** Replaces the reason of a strategy. */
  inWords: (reason: Reason, name: string) => Reason = (reason) => reason
): (report: StrategyReport) => void {
  const own = colorsFor(err)
  // One failed strategy of several is not a failure of the command, so it is yellow and not red.
  const colors = { ...own, red: own.yellow }
  const said = new Set<string>()
  const last = new Map<string, string>()
  return (report) => {
    const { tookMs } = report
    if (tookMs === null) return
    const reason = report.reason === null ? null : inWords(report.reason, report.name)
    const isSaid = reason?.code === 'PORT_TAKEN' && said.has(reason.message)
    if (reason !== null) said.add(reason.message)
    const text = colors.dim(
      `  ${formatStrategy({ ...report, reason: isSaid ? null : reason }, colors, columnsOf(err))}`
    )
    // A report that tells less of a strategy than its line does is no news of it.
    const key = `${report.name} ${report.through ?? ''}`
    if (text !== last.get(key)) line(err, text)
    last.set(key, text)
  }
}
