import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluateIptables } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/iptables.js'
import type { Syn } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/packet.js'

const syn = (port: number): Syn => ({ port, interface: 'eth0', address: '192.168.1.2' })
const fixture = (name: string): string => readFileSync(new URL(`../../../../support/${name}`, import.meta.url), 'utf8')
const plain = fixture('iptables-save.txt')
const ufw = fixture('ufw-iptables-save.txt')

const fates = (text: string, port: number, table = 'ip filter'): readonly string[] | undefined => {
  const found = evaluateIptables(text, syn(port)).hooks.find((each) => each.table === table)
  return found && [...found.fates, ...(found.isNat && found.isUnclear ? ['elsewhere'] : [])].toSorted()
}

/** Returns the text of a filter table with these rules. */
const withRules = (...rules: readonly string[]): string =>
  ['*filter', ':INPUT ACCEPT [0:0]', ':other - [0:0]', ...rules.map((each) => `-A ${each}`), 'COMMIT'].join('\n')

describe('the rules of iptables', () => {
  it.each([
    [22, ['accept']],
    [443, ['accept']],
    [8050, ['accept']],
    [8101, ['drop']]
  ] as const)('iptables decides about port %i', (port, expected) => {
    expect(fates(plain, port)).toEqual(expected)
  })

  it('iptables leads a port of a container elsewhere', () => {
    expect(fates(plain, 9443, 'ip nat')).toEqual(['accept', 'drop', 'elsewhere'])
    expect(fates(plain, 8080, 'ip nat')).toEqual(['accept'])
  })

  it.each([
    [22, 'allowed', ['accept']],
    [8080, 'in a range that is allowed', ['accept']],
    [8050, 'allowed before it is denied', ['accept']],
    [2222, 'limited', ['accept', 'drop']],
    [9000, 'not named', ['drop']]
  ] as const)('ufw decides about port %i, which is %s', (port, _, expected) => {
    expect(fates(ufw, port)).toEqual(expected)
    expect(evaluateIptables(ufw, syn(port)).isUfw).toBe(true)
  })

  it.each([
    ['a negated port', ['INPUT -p tcp -m tcp ! --dport 22 -j DROP'], ['drop']],
    ['a negated port that is the own one', ['INPUT -p tcp -m tcp ! --dport 8080 -j DROP'], ['accept']],
    ['another protocol', ['INPUT -p udp -j DROP'], ['accept']],
    ['another interface', ['INPUT ! -i eth0 -j DROP'], ['accept']],
    ['an interface with a wildcard', ['INPUT -i eth+ -j DROP'], ['drop']],
    ['every address', ['INPUT -s 0.0.0.0/0 -d 0.0.0.0/0 -j DROP'], ['drop']],
    ['the local network', ['INPUT -s 192.168.0.0/16 -j DROP'], ['accept']],
    ['a range of the internet', ['INPUT -s 203.0.114.0/24 -j DROP'], ['accept', 'drop']],
    ['a range that holds private ones', ['INPUT -s 192.0.0.0/3 -j DROP'], ['accept', 'drop']],
    ['the own address', ['INPUT -d 192.168.1.2/32 -j DROP'], ['drop']],
    ['a module that is not known', ['INPUT -m geoip --source-country XX -j DROP'], ['accept', 'drop']],
    [
      'a module that is not known, for another port',
      ['INPUT -p tcp -m geoip --source-country XX -m tcp --dport 22 -j DROP'],
      ['accept']
    ],
    ['a target that is not known', ['INPUT -j NFQUEUE --queue-num 0'], ['accept', 'drop']],
    ['a comment that looks like a target', ['INPUT -m comment --comment "x -j DROP" -j LOG'], ['accept']],
    ['a return before a drop', ['INPUT -j other', 'other -p tcp -j RETURN', 'other -j DROP'], ['accept']],
    ['a goto that comes back to the policy', ['INPUT -g other', 'INPUT -j DROP', 'other -j RETURN'], ['accept']],
    ['a rule without a target', ['INPUT -p tcp'], ['accept']],
    ['a loop', ['INPUT -j other', 'other -j other'], ['accept', 'drop']],
    ['flags of a SYN', ['INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP'], ['drop']]
  ] as const)('iptables: %s', (_, rules, expected) => {
    expect(fates(withRules(...rules), 8080)).toEqual(expected)
  })

  it('iptables-save tells of rules that it does not show', () => {
    const isPartial = (text: string): boolean => evaluateIptables(text, syn(1)).isPartial
    expect(isPartial('# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n')).toBe(true)
    expect(isPartial("# Table `filter' is incompatible, use 'nft' tool.\n")).toBe(true)
    expect(isPartial(plain)).toBe(false)
  })

  it('iptables output of any form gives fates, and never throws', () => {
    const word = fc.constantFrom(
      '-A INPUT',
      '-j',
      'DROP',
      'other',
      '!',
      '-p',
      'tcp',
      '--dport',
      '"',
      '1:',
      '-s',
      '1.2.3.4/99',
      '\\',
      ':INPUT',
      '*filter',
      '\n'
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string())), (words) => {
        for (const { fates: all } of evaluateIptables(withRules(words.join(' ')), syn(8080)).hooks)
          expect(all.size).toBeGreaterThan(0)
      })
    )
  })
})
