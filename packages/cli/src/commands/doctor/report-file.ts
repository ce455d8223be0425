import { writeFile } from 'node:fs/promises'
import type { Report } from '@postern/core'
import type { StatusSource } from '@postern/status'
import { Failure, line, type Output } from '../../shared/output.js'

/** A file that shows a report in a browser. */
export interface ReportFile {
  /** Writes the file, with the events since it was prepared. Rejects with a Failure if it cannot be written. */
  write(report: Report, err: Output['err']): Promise<void>
}

/** Prepares a file for the report about a source, and records the events for it. */
export async function prepareReportFile(path: string, source: StatusSource): Promise<ReportFile> {
  const { recordEvents, reportHtml } = await import('@postern/status')
  const record = recordEvents(source)
  return {
    async write(report, err) {
      record.stop()
      const text = await reportHtml(report, { title: 'postern doctor', events: record.after() })
      await writeFile(path, text).catch((error: unknown) => {
        throw new Failure(`the report cannot be written: ${error instanceof Error ? error.message : String(error)}`)
      })
      line(err, `Written: ${path} (it names the addresses of this machine and its network)`)
    }
  }
}
