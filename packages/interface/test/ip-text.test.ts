import { BlockList, isIP, SocketAddress } from 'node:net'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { canonicalAddress, familyOf } from '../src/index.js'
import { groupsOf, hasPrefix, octetsOf } from '../src/ip-text.js'

const runs = { numRuns: 5000 }

/** Groups with many zeros, in every notation. */
const group = fc.oneof(fc.constantFrom('0', '0000', 'ffff', 'FFFF', '1', '0a'), fc.stringMatching(/^[0-9a-fA-F]{1,4}$/))
const decimal = fc.constantFrom('1.2.3.4', '0.0.0.0', '255.255.255.255', '01.2.3.4', '256.1.1.1', '1.2.3')
const ipv6 = fc
  .tuple(
    fc.array(group, { maxLength: 8 }),
    fc.array(group, { maxLength: 8 }),
    fc.constantFrom('::', ':'),
    decimal,
    fc.nat(3)
  )
  .map(([one, other, between, low, choice]) => {
    const tail = choice === 0 ? [...other.slice(0, 6), low] : other
    return `${one.join(':')}${between}${tail.join(':')}`
  })
const zoned = fc.tuple(ipv6, fc.constantFrom('', '', '%eth0', '%1', '%', '%a b')).map((parts) => parts.join(''))
const pieces = fc.array(
  fc.constantFrom(':', '::', '0', '1', 'ffff', '.', '1.2.3.4', '%', 'g', ' ', '12345', '[', '/'),
  {
    maxLength: 12
  }
)
const anyText = fc.oneof(
  zoned,
  fc.ipV6(),
  fc.ipV4(),
  fc.string(),
  pieces.map((each) => each.join(''))
)

/** Returns the canonical form that Node.js produces. */
function canonicalByNode(address: string): string | undefined {
  const family = isIP(address)
  if (family !== 6) return family === 4 ? address : undefined
  const text = new SocketAddress({ family: 'ipv6', address: address.replace(/%.*$/, '') }).address
  return /^::ffff:([\d.]+)$/.exec(text)?.[1] ?? text
}

it('familyOf agrees with node:net for any text', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(familyOf(text) ?? 0).toBe(isIP(text))
    }),
    runs
  )
})

it('canonicalAddress agrees with node:net for any text', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(canonicalAddress(text)).toBe(canonicalByNode(text))
    }),
    runs
  )
})

it('canonicalAddress agrees with node:net for every combination of zero groups', () => {
  for (let zeros = 0; zeros < 256; zeros++) {
    for (const word of ['1', 'ffff', 'a0b']) {
      const text = Array.from({ length: 8 }, (_, index) => ((zeros & (1 << index)) === 0 ? word : '0')).join(':')
      expect(canonicalAddress(text)).toBe(canonicalByNode(text))
    }
  }
})

it.each([
  ['ipv4', 8, 32, fc.ipV4()],
  ['ipv6', 16, 128, fc.ipV6()]
] as const)('hasPrefix agrees with node:net for %s addresses', (family, width, maxBits, address) => {
  const read = width === 8 ? octetsOf : groupsOf
  fc.assert(
    fc.property(address, address, fc.integer({ min: 1, max: maxBits }), fc.nat(7), (one, other, bits, same) => {
      const base = read(one) ?? []
      const parts = (read(other) ?? []).map((part, index) => (index < same ? (base[index] ?? part) : part))
      const list = new BlockList()
      list.addSubnet(one, bits, family)
      const text = width === 8 ? parts.join('.') : parts.map((part) => part.toString(16)).join(':')
      expect(hasPrefix(parts, base, bits, width)).toBe(list.check(text, family))
    }),
    runs
  )
})
