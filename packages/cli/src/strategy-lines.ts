import type { StrategyReport } from '@postern/core'
import { line, type Output } from './output.js'
import { colorsFor, formatStrategy } from './terminal.js'
import { columnsOf } from './wrap-lines.js'

type Reason = NonNullable<StrategyReport['reason']>

/** Writes what becomes of each strategy, for a command that runs on. That a port is taken is said once: it changes nothing. */
export function createStrategyLines(
  err: Output['err'],
  /** Says a reason in other words. */
  inWords: (reason: Reason, name: string) => Reason = (reason) => reason
): (report: StrategyReport) => void {
  const own = colorsFor(err)
  // That one of several ways fails is no failure of the command.
  const colors = { ...own, red: own.yellow }
  const said = new Set<string>()
  let last = ''
  return (report) => {
    const { tookMs } = report
    if (tookMs === null) return
    const reason = report.reason === null ? null : inWords(report.reason, report.name)
    const isSaid = reason?.code === 'PORT_TAKEN' && said.has(reason.message)
    if (reason !== null) said.add(reason.message)
    const text = colors.dim(
      `  ${formatStrategy({ ...report, reason: isSaid ? null : reason }, colors, columnsOf(err))}`
    )
    if (text !== last) line(err, text)
    last = text
  }
}
