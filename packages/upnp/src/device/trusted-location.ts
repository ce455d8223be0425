import { canonicalAddress, classOf, type ErrorCode, type Gateway, type NatError, natError } from '@postern/interface'

/** The circumstances of an SSDP message. */
export interface LocationContext {
  /** The address that sent the message. */
  readonly sender: string
  /** The router that was asked. */
  readonly gateway: Gateway
}

/** The maximum length of a location; real ones are short. */
const maxLength = 512

/**
 * Returns the URL of the description of the gateway's device, if it may be fetched.
 *
 * The answer to a search names a URL that is fetched next, and its UDP source can be forged. Without these rules a host
 * on the link could make this host send requests to any service of this machine, of the LAN, or of the internet. So the
 * URL must be plain HTTP, with an address instead of a name, without credentials, and with port 80 or an unprivileged
 * port. The address must be that of the gateway, which is the next hop or was named by the user. It must be private or
 * link-local; loopback is allowed only if the message came from that address.
 *
 * Throws `UNTRUSTED_REPLY`, or `MALFORMED_REPLY` if there is no URL.
 */
export function trustLocation(text: string | undefined, { sender, gateway }: LocationContext): URL {
  if (text === undefined || !URL.canParse(text)) throw refusal('MALFORMED_REPLY', 'is not a URL')
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

/** Replaces the host of a URL by `address` if it is not a usable address: a name that the router has for itself, which
 * could resolve to any host, or `0.0.0.0` of firmware that did not fill in its own. */
export function standIn(url: URL, address: string): void {
  const host = addressOf(url)
  if (host !== undefined && classOf(host) !== 'unspecified') return
  // A URL cannot contain a zone.
  if (!address.includes('%')) url.hostname = address.includes(':') ? `[${address}]` : address
}

/** Returns whether a router may serve HTTP on the port: not on the ports of SSH, mail and the like. */
export const isSanePort = ({ port }: URL): boolean => port === '' || Number(port) === 80 || Number(port) >= 1024

/** Returns the address in a URL, in canonical form; undefined for a name. */
export const addressOf = (url: URL): string | undefined => canonicalAddress(url.hostname.replace(/^\[|\]$/g, ''))

/** Returns whether an IPv6 location is on the link of the router that sent it. IPv6 routers answer from their
 * link-local address, which is the next hop, and serve on their global one, in the /64 of the link. Any host on the
 * link has an address in that /64, so connections go to the next hop and not to this address. */
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

/** Returns the first 64 bits of an address. */
function linkOf(address: string): string {
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  return [...left, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...right].slice(0, 4).join(':')
}

const refusal = (code: ErrorCode, why: string): NatError =>
  natError(code, `the location of the description ${why}, so it is not fetched`)
