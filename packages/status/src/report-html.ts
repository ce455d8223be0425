import type { Report } from '@postern/core'
import { checkOptions } from '@postern/interface'
import type { LoggedEvent } from './model/state.js'
import { readAssets } from './server/assets.js'
import { savedHtml } from './server/html.js'

/** Options of `reportHtml()`. */
export interface ReportHtmlOptions {
  /** What the page is about, for its heading.
   * @default 'postern' */
  readonly title?: string
  /** When the report was made.
   * @default now */
  readonly at?: Date
  /** What happened before, the oldest first.
   * @default nothing */
  readonly events?: readonly LoggedEvent[]
}

/** Resolves to a page with a report, as the text of one HTML file. It needs no server, and loads nothing. Rejects with a TypeError
 * for an invalid option. */
export async function reportHtml(report: Report, options: ReportHtmlOptions = {}): Promise<string> {
  checkOptions('reportHtml()', options, { title: 'string', at: 'object', events: 'array' })
  const { title = 'postern', at = new Date(), events = [] } = options
  return savedHtml(await readAssets(), { at: at.toISOString(), title, report, events })
}
