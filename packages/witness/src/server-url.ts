import { familyOf } from '@postern/interface'

/** The default port for a URL without a scheme. */
export const defaultPort = 4003

/** A witness server, as the user named it. */
export interface ServerUrl {
  /** The URL without a slash at its end. */
  readonly base: string
  /** The IP address or the name in it, without brackets. */
  readonly host: string
  /** The port. */
  readonly port: number
}

const maxLength = 512
const example = 'give it as http://203.0.113.9:4003, https://witness.example.org or 203.0.113.9:4003'

/**
 * Parses `http://203.0.113.9:4003`, `https://witness.example.org/path` or `203.0.113.9:4003`, which means `http:`. The
 * default port of the last form is 4003. Throws a TypeError that quotes the text.
 */
export function parseServerUrl(text: string): ServerUrl {
  const hasScheme = /^https?:\/\//i.test(text)
  const url = text.length <= maxLength ? read(hasScheme ? text : `http://${withPort(text)}`) : undefined
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? ''
  const isPlain = url?.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (url === undefined || !isPlain || host === '' || url.port === '0' || /[\s@]/.test(text)) {
    throw new TypeError(`"${text.slice(0, 80)}" is not the URL of a witness: ${example}`)
  }
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  return { base: url.href.replace(/\/+$/, ''), host, port }
}

/** Adds the default port to a host without one, and brackets to an IPv6 address. Returns an empty text for anything but
 * a host and a port. */
function withPort(text: string): string {
  if (/[/?#\\]/.test(text)) return ''
  if (familyOf(text) === 6) return `[${text}]:${defaultPort}`
  return /:\d{1,5}$/.test(text) ? text : `${text}:${defaultPort}`
}

function read(text: string): URL | undefined {
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}
