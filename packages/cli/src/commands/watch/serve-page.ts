import { type StatusPage, type StatusSource, statusPage } from '@postern/status'
import { Failure, line, type Output } from '../../shared/output.js'
import { colorsFor } from '../../shared/terminal.js'
import { openBrowser } from './open-browser.js'

/** The options of {@link servePage}. */
export interface ServePageOptions {
  /** The port of 127.0.0.1; 0 for a free one. */
  readonly port: number
  /** Whether to open the page in the browser. */
  readonly open: boolean
  readonly json: boolean
  readonly title: string
  readonly output: Output
}

/** A page about a command that runs. */
export interface Serving {
  /** Serves the page about a source, and prints its URL. Rejects with a Failure if the port is taken. */
  readonly watched: (source: StatusSource) => Promise<void>
  /** Ends the page. */
  close(): Promise<void>
}

/** Prepares a page. The command that runs calls `watched` once it has something to show. */
export function servePage({ port, open, json, title, output: { out, err } }: ServePageOptions): Serving {
  let page: StatusPage | undefined
  let closeBrowser: (() => Promise<void>) | undefined
  const tell = (url: string, text: string): void =>
    line(out, json ? JSON.stringify({ event: 'listening', url }) : `${text} ${url}`)

  function opened(url: string): void {
    void closeBrowser?.()
    tell(url, colorsFor(out).dim('The page is open. For another browser:'))
  }

  return {
    async watched(source) {
      page = await statusPage(source, { port, title, opened }).catch((error: unknown) => {
        throw new Failure(`the page cannot be served: ${reasonOf(error, port)}`)
      })
      tell(page.url, colorsFor(out).bold('Page'))
      if (!open) return
      closeBrowser = await openBrowser(page.url, (reason) =>
        line(err, `! no browser was opened (${reason}): open the address above`)
      )
    },
    async close() {
      await page?.close()
      await closeBrowser?.()
    }
  }
}

function reasonOf(error: unknown, port: number): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') return `another program has port ${port} of 127.0.0.1; leave --port out for a free one`
  if (code === 'EACCES') return `port ${port} may not be used by this user; leave --port out for a free one`
  return error instanceof Error ? error.message : String(error)
}
