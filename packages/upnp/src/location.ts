import { canonicalAddress, classOf, type ErrorCode, type Gateway, type NatError, natError } from '@postern/interface'

export interface LocationContext {
  /** Where the message came from. */
  readonly sender: string
  /** The router that was asked. */
  readonly gateway: Gateway
}

/** A description has a short path. */
const maxLength = 512

/**
 * The URL of the description of the gateway's device, if it may be fetched.
 *
 * An answer to a search chooses a URL that we then ask, and its UDP source can be forged: without these rules a neighbour could
 * make us send requests to any service of this machine, of the LAN, or of the internet. So: plain HTTP, an address and no
 * name, no credentials, port 80 or one that needs no privileges, and the address is that of the gateway itself, which is
 * the next hop or was named by the user. It is private or link-local; loopback only where the gateway is that same address.
 *
 * Throws `UNTRUSTED_REPLY`, or `MALFORMED_REPLY` where there is no URL.
 */
export function trustLocation(text: string | undefined, { sender, gateway }: LocationContext): URL {
  if (text === undefined || !URL.canParse(text)) throw refusal('MALFORMED_REPLY', 'is no URL')
  const url = new URL(text)
  if (url.protocol !== 'http:') throw refusal('UNTRUSTED_REPLY', 'is not plain HTTP')
  if (url.username !== '' || url.password !== '') throw refusal('UNTRUSTED_REPLY', 'carries credentials')
  if (url.href.length > maxLength) throw refusal('UNTRUSTED_REPLY', `is longer than ${maxLength} characters`)
  if (!isSanePort(url)) throw refusal('UNTRUSTED_REPLY', 'is at a port of another service')
  const source = canonicalAddress(sender)
  const router = canonicalAddress(gateway.address)
  if (source === router) standIn(url, gateway.address)
  const host = addressOf(url)
  if (host === undefined) throw refusal('UNTRUSTED_REPLY', 'is a name and not an address')
  if (isRouterItself(host, source, router, gateway)) return url
  if (host !== router) throw refusal('UNTRUSTED_REPLY', 'leads to another host')
  const kind = classOf(host)
  const near = kind === 'private' || kind === 'link-local' || (kind === 'loopback' && host === source)
  if (!near) throw refusal('UNTRUSTED_REPLY', 'leads away from the local network')
  return url
}

/** Puts an address in the place of a host that is none: a name that the router has for itself, and that may lead anywhere, or
 * `0.0.0.0` of firmware that has not filled in its own. Nothing but that address is asked. */
export function standIn(url: URL, address: string): void {
  const host = addressOf(url)
  if (host !== undefined && classOf(host) !== 'unspecified') return
  // A zone has no place in a URL.
  if (!address.includes('%')) url.hostname = address.includes(':') ? `[${address}]` : address
}

/** Whether HTTP of a router may be there: not on the ports of SSH, mail and the like. */
export const isSanePort = ({ port }: URL): boolean => port === '' || Number(port) === 80 || Number(port) >= 1024

/** The address in a URL, in canonical form; undefined for a name. */
export const addressOf = (url: URL): string | undefined => canonicalAddress(url.hostname.replace(/^\[|\]$/g, ''))

/** IPv6 routers answer from their link-local address, which is the next hop, and serve on their global one: the link's
 * /64 tells that it is on the same link. Any host of the link is in it, so what is connected to is the next hop. */
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
