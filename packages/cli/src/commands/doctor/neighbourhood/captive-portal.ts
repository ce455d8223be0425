import type { CaptivePortalReport } from '@postern/core'
import { type CallOptions, type Clock, isNatError, printable } from '@postern/interface'
import { type ExchangeHttp, exchangeHttp, type HttpReply } from '@postern/net'

/** The options of {@link checkPortal}. */
export interface PortalOptions {
  readonly clock: Clock
  /** Makes the request.
   * @default real sockets */
  readonly exchange?: ExchangeHttp
}

/** The time limit for the page, in ms. */
const portalMs = 5000
/** The maximum size of the page, in bytes. What is looked for is much shorter; a login page may be longer, and is cut. */
const maxBytes = 64 * 1024
/** The maximum length of a location, in characters. */
const maxLocation = 200

/** The texts with which the pages of systems and browsers answer instead of status 204: Firefox, Apple, Windows and
 * NetworkManager. Tags and white space are left out. */
const knownTexts: ReadonlySet<string> = new Set([
  'success',
  'SuccessSuccess',
  'Microsoft Connect Test',
  'Microsoft NCSI',
  'NetworkManager is online'
])

/** Parses the URL of `--captive-portal`. Throws a TypeError. `https:` cannot show a portal: the portal has no certificate for the
 * server, so that the connection fails as with any other fault. */
export function parsePortalUrl(text: string): URL {
  const url = URL.parse(text)
  if (url === null || url.protocol !== 'http:' || url.username !== '' || url.password !== '' || text.length > 2000)
    throw new TypeError(
      'give the URL of a page that answers with status 204, such as http://connectivity.example/generate_204'
    )
  return url
}

/** Requests the page once, and follows no redirect. Resolves to what came instead, within 5 s. Rejects with the signal's
 * reason. */
export async function checkPortal(
  url: URL,
  { clock, exchange = exchangeHttp }: PortalOptions,
  call: CallOptions
): Promise<CaptivePortalReport> {
  const asked = { url: printable(url.href), location: null }
  try {
    const reply = await exchange({ url, clock, timeoutMs: portalMs, maxBytes }, call)
    return { ...asked, ...judgeReply(reply, url) }
  } catch (error) {
    call.signal.throwIfAborted()
    // A page that long is not the one that was asked for.
    const isOther = isNatError(error) && error.code === 'REPLY_TOO_LARGE'
    return { ...asked, state: isOther ? 'found' : 'unknown' }
  }
}

function judgeReply({ status, headers, body }: HttpReply, url: URL): Pick<CaptivePortalReport, 'state' | 'location'> {
  if (status === 204) return { state: 'none', location: null }
  // The status of RFC 6585 §6, which only portals send.
  if (status === 511) return { state: 'found', location: null }
  if (status >= 300 && status < 400) {
    const target = readLocation(headers['location'], url)
    // Many servers send their visitors to the same page over TLS.
    const isOwn = target?.protocol === 'https:' && target.hostname === url.hostname
    if (target === undefined || isOwn) return { state: 'unknown', location: null }
    return { state: 'found', location: formatLocation(target) }
  }
  if (status !== 200) return { state: 'unknown', location: null }
  return { state: isKnown(body) ? 'none' : 'found', location: null }
}

const isKnown = (body: Uint8Array): boolean =>
  body.length <= 1024 &&
  knownTexts.has(
    new TextDecoder()
      .decode(body)
      .replaceAll(/<[^<>]*>/g, '')
      .trim()
  )

function readLocation(text: string | undefined, base: URL): URL | undefined {
  const url = text === undefined || text === '' || text.length > 8192 ? null : URL.parse(text, base.href)
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? url : undefined
}

/** Returns the address of the login page without its query, in which portals write the hardware address of this machine and
 * the key of its session. */
const formatLocation = ({ origin, pathname }: URL): string => printable(`${origin}${pathname}`, maxLocation)

/** Formats the line about a portal; none if there is none, or if no page was named. */
export function portalLines(portal: CaptivePortalReport | null): readonly string[] {
  if (portal === null || portal.state === 'none') return []
  const { url, state, location } = portal
  if (state === 'unknown') return [`Captive portal: not known, ${url} cannot be read`]
  return [`Captive portal: ${location === null ? `another page answers for ${url}` : `${url} leads to ${location}`}`]
}

/** Returns what to do about a portal. */
export const portalAdvice = ({ state, location, url }: CaptivePortalReport): readonly string[] =>
  state === 'found'
    ? [
        `Log in to this network with a browser${location === null ? '' : ` at ${location}`}, then run this again: something other than the server answers for ${url}, as a captive portal does.`
      ]
    : []
