import {
  checkOptions,
  classOf,
  type Family,
  familyOf,
  isMultiaddrText,
  type MultiaddrText,
  type Protocol,
  parseMultiaddr
} from '@postern/interface'

/** The options of {@link manual}. At least one is required. */
export interface ManualOptions {
  /** The external address that is forwarded, as `/ip4/<address>/tcp/<port>` (or `ip6`, or `udp`), or as
   * `/ip4/<address>` together with `port`, for both protocols.
   * @default this host's own global address or the address that remote parties see, with `port` */
  readonly address?: MultiaddrText
  /** The external port that is forwarded. Enough without `address` if this host has the public address itself, or if
   * witnesses or STUN servers see the external address: it is tried there.
   * @default the port of `address` */
  readonly port?: number
}

/** A forward that the options describe. Without an address, it is for the addresses of this host. */
export interface Forward {
  readonly address: string | undefined
  readonly family: Family | undefined
  readonly protocols: readonly Protocol[]
  readonly port: number
}

/** Reads the options. Throws a TypeError for an invalid one. */
export function readOptions(options: ManualOptions): Forward {
  checkOptions('manual()', options, { address: 'any', port: 'any' })
  const { address, port } = options
  if (port !== undefined && (!Number.isInteger(port) || port < 1 || port > 65_535)) {
    const given: unknown = port
    throw new TypeError(`port is not a number in 1…65535: ${typeof given === 'string' ? JSON.stringify(given) : port}`)
  }
  if (address === undefined) {
    if (port === undefined) throw new TypeError('manual() needs an address such as /ip4/<address>/tcp/8080, or a port')
    return { address: undefined, family: undefined, protocols: ['tcp', 'udp'], port }
  }
  const named = parseAddress(address)
  const both = port ?? named?.port
  if (named === undefined || both === undefined || both === 0) {
    throw new TypeError(`address is not of the form /ip4/<address>/tcp/<port>, or /ip4/<address> with port: ${address}`)
  }
  if (named.port !== undefined && both !== named.port)
    throw new TypeError(`port is ${port}, and the address says ${named.port}`)
  if (classOf(named.address) === 'unspecified') throw new TypeError(`address is not a single address: ${address}`)
  return { ...named, port: both }
}

function parseAddress(
  text: string
): (Omit<Forward, 'port' | 'address'> & { address: string; port: number | undefined }) | undefined {
  if (!isMultiaddrText(text)) return undefined
  const whole = parseMultiaddr(text)
  if (whole !== undefined) return whole.rest === '' ? { ...whole, protocols: [whole.protocol] } : undefined
  const [, version, address = ''] = /^\/ip([46])\/([^/]+)$/.exec(text) ?? []
  const family = familyOf(address)
  if (family === undefined || String(family) !== version) return undefined
  return { address, family, protocols: ['tcp', 'udp'], port: undefined }
}
