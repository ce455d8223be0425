import { familyOf } from '@postern/interface'
import { nodeNet } from '../async/builtins.js'

/** Returns whether a subnet, such as `192.168.1.0/24`, contains an address. */
export function contains(cidr: string, address: string): boolean {
  const [base = '', bits] = cidr.split('/')
  if (familyOf(base) !== familyOf(address)) return false
  const kind = familyOf(base) === 4 ? 'ipv4' : 'ipv6'
  const range = new (nodeNet().BlockList)()
  range.addSubnet(base, Number(bits), kind)
  return range.check(address.replace(/%.*$/, ''), kind)
}
