import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, checkOptions, clockWith } from '@postern/interface'
import { localHttpServer } from '@postern/net'
import { recordEvents, type StatusSource } from './record-events.js'
import { readAssets } from './server/assets.js'
import { liveHtml, pageHeaders } from './server/html.js'
import { createSessions, secret } from './server/sessions.js'
import { createStreams } from './server/streams.js'

/** Options of `statusPage()`. */
export interface StatusPageOptions {
  /** The port of 127.0.0.1 to listen on; 0 for a free one.
   * @default 0 */
  readonly port?: number
  /** What the page is about, for its heading.
   * @default 'postern' */
  readonly title?: string
  /** Called when a browser has used a URL, with the URL for another browser.
   * @default does nothing */
  readonly opened?: (url: string) => void
  /** The clock for the times of events, and for the interval between updates.
   * @default the clock of this machine */
  readonly clock?: Clock
}

/** A page that is served. */
export interface StatusPage {
  /** The URL of the page, with a token that lets one browser in. After it was used, this is another URL. */
  readonly url: string
  /** Lets the process end although the page is served. Idempotent. */
  unref(): StatusPage
  /** Ends the server and its connections, and removes the listeners from the source. Idempotent. */
  close(): Promise<void>
  /** Like `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

const maxTitleLength = 200

/** A system clock. Its timers do not keep the process alive: the server does, until `unref()`. */
const idleClock: Clock = clockWith({
  set: (fire, ms) => setTimeout(fire, ms).unref(),
  clear: (timer) => clearTimeout(timer)
})

/**
 * Serves a page that shows, live, how the program can be reached, to browsers of this machine.
 *
 * Listens on 127.0.0.1. The page is shown to the browser that opens the URL first, and to no other site or program: `url` has a
 * token, which is exchanged for a cookie. Rejects with the system's error if the port is taken, and with a TypeError for an invalid
 * option or source.
 */
export async function statusPage(source: StatusSource, options: StatusPageOptions = {}): Promise<StatusPage> {
  checkOptions('statusPage()', options, { port: 'any', title: 'string', opened: 'function', clock: 'object' })
  const { port: wanted = 0, opened = () => undefined, clock = idleClock } = options
  if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535)
    throw new TypeError(`statusPage(): port has to be an integer from 0 to 65535, not ${String(wanted)}`)
  const title = (options.title ?? 'postern').slice(0, maxTitleLength)
  const { script, style } = await readAssets()

  const ended = new AbortController()
  const record = recordEvents(source, { clock, changed: () => streams.changed() })
  const streams = createStreams(
    {
      report: () => JSON.stringify(source.report()),
      message(report, after) {
        const at = new Date(clock.wallMs()).toISOString()
        return `{"at":"${at}","title":${JSON.stringify(title)},"report":${report},"events":${JSON.stringify(record.after(after))}}`
      },
      latest: () => record.latest()
    },
    clock,
    ended.signal
  )
  const end = (): void => {
    ended.abort()
    record.stop()
  }

  const sessions = createSessions()
  // Other servers of this machine get the cookies of 127.0.0.1 too, whatever their port, but only for this path.
  const folder = `/${secret()}/`
  const cookie = 'postern-status'
  const files: Readonly<Record<string, readonly [type: string, text: string]>> = {
    [`${folder}page.js`]: ['text/javascript; charset=utf-8', script],
    [`${folder}page.css`]: ['text/css; charset=utf-8', style]
  }
  const start = `${folder}?token=`
  const hasToken = ({ url = '' }: IncomingMessage): boolean =>
    url.startsWith(start) && sessions.isToken(url.slice(start.length))

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const { url = '', method } = request
    if (method !== 'GET') return refuse(response, 405, 'This server answers GET only.')
    if (hasToken(request)) {
      const value = sessions.open()
      response.setHeader('set-cookie', `${cookie}=${value}; Path=${folder}; HttpOnly; SameSite=Strict`)
      opened(urlNow())
      return void response.writeHead(200, pageHeaders).end(liveHtml(folder, title))
    }
    const isLetIn = sessions.isOpen(cookieOf(request, cookie))
    if (!isLetIn) return refuse(response, 403, notLetIn)
    const file = files[url]
    // The user may open the address again in the same browser, or reload before the page has replaced it.
    if (url === folder || url.startsWith(start)) response.writeHead(200, pageHeaders).end(liveHtml(folder, title))
    else if (file !== undefined) response.writeHead(200, { 'content-type': file[0] }).end(file[1])
    else if (url !== `${folder}events`) refuse(response, 404, 'There is no such page.')
    else if (!streams.add(response))
      refuse(response, 503, 'Too many pages are open, or the program fails: close one, or try again later.')
  }

  const server = localHttpServer({ answer, isInvited: hasToken })
  const port = await server.listen(wanted).catch((error: unknown) => {
    end()
    throw error
  })
  const urlNow = (): string => `http://127.0.0.1:${port}${start}${sessions.token()}`
  const page: StatusPage = {
    get url() {
      return urlNow()
    },
    unref() {
      server.unref()
      return page
    },
    async close() {
      end()
      server.close()
    },
    [Symbol.asyncDispose]: () => page.close()
  }
  return page
}

const notLetIn =
  'This address lets one browser in, once. Open the address that the program shows now, or the page that is open already.'

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}

/** Returns the value of a cookie of a request. */
const cookieOf = ({ headers }: IncomingMessage, name: string): string | undefined =>
  headers.cookie
    ?.split('; ')
    .find((each) => each.startsWith(`${name}=`))
    ?.slice(name.length + 1)
