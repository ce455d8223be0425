import { BlockList, isIPv4 } from 'node:net'
import { isGlobal } from '@postern/interface'
import { type Answer, known } from './chains.js'

/** The packet about which the rules are asked: the SYN of a TCP connection over IPv4, from a host on the internet. */
export interface Syn {
  /** The port of this machine. */
  readonly port: number
  /** The interface on which it arrives; undefined if that is not known. */
  readonly interface: string | undefined
  /** The address of this machine; undefined if that is not known. */
  readonly address: string | undefined
  /** False if a rule may exempt it from the tracking of connections, so that its state may be `untracked` and not `new`.
   * @default true */
  readonly isTracked?: boolean
}

/** IPv4 ranges without hosts of the internet. Rules for one of them do not match the packet. */
const closedRanges: readonly (readonly [string, number])[] = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4]
]

/** Returns whether the source of the packet, some host on the internet, is in a range. */
export function isFrom(address: string, bits: number): Answer {
  if (bits === 0) return 'yes'
  if (!isIPv4(address)) return address.includes(':') ? 'no' : 'maybe'
  if (bits === 32) return isGlobal(address) ? 'maybe' : 'no'
  return closedRanges.some(([base, length]) => bits >= length && isInRange(address, base, length)) ? 'no' : 'maybe'
}

/** Returns whether the destination of the packet, an address of this machine, is in a range. */
export function isTo({ address: own }: Syn, address: string, bits: number): Answer {
  if (bits === 0) return 'yes'
  if (!isIPv4(address)) return address.includes(':') ? 'no' : 'maybe'
  return own === undefined ? 'maybe' : known(isInRange(own, address, bits))
}

/** Returns whether an IPv4 address is in a range; false for an invalid range. */
function isInRange(address: string, base: string, bits: number): boolean {
  if (!isIPv4(address) || !isIPv4(base) || !Number.isInteger(bits) || bits < 0 || bits > 32) return false
  const list = new BlockList()
  list.addSubnet(base, bits, 'ipv4')
  return list.check(address, 'ipv4')
}

/** Returns whether the packet arrives on an interface. A name that ends with `+` or `*` stands for all that begin so. */
export function isOn({ interface: own }: Syn, name: string): Answer {
  if (own === undefined) return name === 'lo' ? 'no' : 'maybe'
  return known(/[+*]$/.test(name) ? own.startsWith(name.slice(0, -1)) : own === name)
}
