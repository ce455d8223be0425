import type { IncomingMessage } from 'node:http'
import { BlockList } from 'node:net'
import { canonicalAddress, checkOptions, familyOf } from '@postern/interface'
import type { TrustedProxies } from './options.js'

/** Tells the clients of a server apart. */
export interface Requesters {
  /** Returns whether a connection comes from a trusted proxy, which carries the requests of many clients. */
  isProxy(address: string): boolean
  /** Returns the IP address that a request comes from; undefined if a proxy tells none. */
  addressOf(request: Pick<IncomingMessage, 'headers' | 'socket'>): string | undefined
}

const maxRanges = 64
/** Longer headers are not those of a proxy. */
const maxHeaderLength = 1024

/** Creates the reader of client addresses. Throws a TypeError for an invalid header name or range. */
export function createRequesters(trust: TrustedProxies | undefined): Requesters {
  const list = new BlockList()
  const header = trust === undefined ? '' : readTrust(trust, list)
  const isProxy = (address: string): boolean => list.check(address, familyOf(address) === 6 ? 'ipv6' : 'ipv4')

  return {
    isProxy: (address) => trust !== undefined && isProxy(canonicalAddress(address) ?? '::'),
    addressOf({ headers, socket }) {
      const remote = canonicalAddress(socket.remoteAddress ?? '')
      if (trust === undefined || remote === undefined || !isProxy(remote)) return remote
      const told = headers[header]
      const text = Array.isArray(told) ? told.join() : (told ?? '')
      if (text.length > maxHeaderLength) return undefined
      // Each proxy appends the address that it sees: what stands before the last stranger may be forged.
      for (const entry of text.split(',').toReversed()) {
        const address = addressIn(entry.trim())
        if (address === undefined || !isProxy(address)) return address
      }
      return undefined
    }
  }
}

function readTrust(trust: TrustedProxies, list: BlockList): string {
  checkOptions('trustProxy', trust, { header: 'string', proxies: 'array' })
  const { header, proxies } = trust
  if (typeof header !== 'string' || !/^[a-z0-9-]{1,64}$/i.test(header))
    throw new TypeError(`trustProxy: not the name of a header: ${header}`)
  if (!Array.isArray(proxies) || proxies.length === 0 || proxies.length > maxRanges)
    throw new TypeError(`trustProxy: proxies is not an array of 1 to ${maxRanges} addresses or ranges`)
  for (const range of proxies) addRange(list, range)
  return header.toLowerCase()
}

function addRange(list: BlockList, range: unknown): void {
  const [address = '', bits, ...more] = typeof range === 'string' ? range.split('/') : []
  const family = familyOf(address)
  const length = bits === undefined || !/^\d{1,3}$/.test(bits) ? -1 : Number(bits)
  const isLength = bits === undefined || (length >= 0 && length <= (family === 6 ? 128 : 32))
  if (family === undefined || address.includes('%') || more.length > 0 || !isLength)
    throw new TypeError(`trustProxy: not an IP address or range: ${String(range)}`)
  const type = family === 6 ? 'ipv6' : 'ipv4'
  if (bits === undefined) list.addAddress(address, type)
  else list.addSubnet(address, length, type)
}

/** Returns the address in `203.0.113.7`, `203.0.113.7:4711`, `[2001:db8::1]:4711` or `2001:db8::1`. */
function addressIn(entry: string): string | undefined {
  const match = /^\[([^\]]+)\](?::\d{1,5})?$|^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(entry)
  const text = match?.[1] ?? match?.[2] ?? entry
  return text.includes('%') ? undefined : canonicalAddress(text)
}
