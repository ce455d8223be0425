import { canonicalAddress, classOf, type ErrorCode, type Gateway, type NatError, natError } from '@postern/interface'

export interface LocationContext {
  /** Where the message came from. */
  readonly sender: string
  /** The router that was asked. */
  readonly gateway: Gateway
}

/**
 * The URL of a device's description, if it may be fetched.
 *
 * Whoever answers a search chooses a URL that we then ask: without these rules a neighbour could make us send requests
 * to services of this machine, of the LAN, or of the internet. So: plain HTTP, an address and no name, no credentials,
 * and the address is the sender's own or the router's. It is private or link-local; loopback only where the sender is
 * that same address.
 *
 * Throws `UNTRUSTED_REPLY`, or `MALFORMED_REPLY` where there is no URL.
 */
export function trustLocation(text: string | undefined, { sender, gateway }: LocationContext): URL {
  if (text === undefined || !URL.canParse(text)) throw refusal('MALFORMED_REPLY', 'is no URL')
  const url = new URL(text)
  if (url.protocol !== 'http:') throw refusal('UNTRUSTED_REPLY', 'is not plain HTTP')
  if (url.username !== '' || url.password !== '') throw refusal('UNTRUSTED_REPLY', 'carries credentials')
  const host = addressOf(url)
  if (host === undefined) throw refusal('UNTRUSTED_REPLY', 'is a name and not an address')

  const source = canonicalAddress(sender)
  const router = canonicalAddress(gateway.address)
  if (host !== source && host !== router && !isRouterItself(host, source, router, gateway)) {
    throw refusal('UNTRUSTED_REPLY', 'leads to another host')
  }
  const kind = classOf(host)
  const near = kind === 'private' || kind === 'link-local' || (kind === 'loopback' && host === source)
  if (!near && !isRouterItself(host, source, router, gateway)) {
    throw refusal('UNTRUSTED_REPLY', 'leads away from the local network')
  }
  return url
}

/** The address in a URL, in canonical form; undefined for a name. */
export const addressOf = (url: URL): string | undefined => canonicalAddress(url.hostname.replace(/^\[|\]$/g, ''))

/** IPv6 routers answer from their link-local address, which is the next hop, and serve on their global one: the link's
 * /64 tells that it is on the same link. */
function isRouterItself(
  host: string,
  source: string | undefined,
  router: string | undefined,
  gateway: Gateway
): boolean {
  if (source === undefined || source !== router || !host.includes(':')) return false
  const own = canonicalAddress(gateway.localAddress)
  return own !== undefined && own.includes(':') && linkOf(host) === linkOf(own)
}

/** The first 64 bits. */
function linkOf(address: string): string {
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  return [...left, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...right].slice(0, 4).join(':')
}

const refusal = (code: ErrorCode, why: string): NatError =>
  natError(code, `the location of the description ${why}, so it is not fetched`)
