import type { StrategyReport } from '@postern/core'
import { line, type Output } from './output.js'
import { colorsFor, formatStrategy } from './terminal.js'
import { columnsOf } from './wrap-lines.js'

/** Writes what becomes of each strategy, for a command that runs on. That a port is taken is said once: it changes nothing. */
export function createStrategyLines(err: Output['err']): (report: StrategyReport) => void {
  const colors = colorsFor(err)
  const said = new Set<string>()
  let last = ''
  return (report) => {
    const { tookMs, reason } = report
    if (tookMs === null) return
    const isSaid = reason?.code === 'PORT_TAKEN' && said.has(reason.message)
    if (reason !== null) said.add(reason.message)
    const text = colors.dim(
      `  ${formatStrategy(isSaid ? { ...report, reason: null } : report, colors, columnsOf(err))}`
    )
    if (text !== last) line(err, text)
    last = text
  }
}
