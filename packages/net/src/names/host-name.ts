import { familyOf } from '@postern/interface'

/** Returns whether a text is a host name (RFC 1123 §2.1) or an IP address. Rejects a name that ends like an IPv4
 * address, so that a mistyped address is not looked up. */
export const isHostName = (host: string): boolean =>
  familyOf(host) !== undefined ||
  (host.length <= 253 && /^(?:[a-z0-9_](?:[\w-]{0,61}\w)?\.)*[a-z_](?:[\w-]{0,61}\w)?\.?$/i.test(host))
