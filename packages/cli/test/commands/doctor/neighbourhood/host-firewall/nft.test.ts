import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluateNft } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/nft.js'
import type { Syn } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/packet.js'

const syn = (port: number): Syn => ({ port, interface: 'eth0', address: '192.168.1.2' })
const fixture = (name: string): string => readFileSync(new URL(`../../../../support/${name}`, import.meta.url), 'utf8')
const server = fixture('server-nft.json')
const firewalld = fixture('firewalld-nft.json')

/** Returns what a chain may do with a SYN to a port, and `elsewhere` if a rule may lead it away. */
function fates(text: string, chain: string, packet: Syn): readonly string[] | undefined {
  const found = evaluateNft(text, packet)?.find((each) => each.chain === chain)
  return found && [...found.fates, ...(found.isNat && found.isUnclear ? ['elsewhere'] : [])].toSorted()
}

describe('the rules of nftables', () => {
  it.each([
    [8080, 'a set with ranges', ['accept']],
    [443, 'a set', ['accept']],
    [8101, 'the policy', ['drop']],
    [7000, 'a verdict map', ['accept']],
    [7001, 'a verdict map that drops', ['drop']],
    [9000, 'a limit of connections, and then accepts', ['accept', 'drop']],
    [9100, 'the remote address', ['accept', 'drop']],
    [9200, 'the own address, and a rate', ['accept', 'drop']],
    [9300, 'the policy, after a rule that logs', ['drop']],
    [9400, 'a jump, with a source port that may return', ['drop']],
    [9500, 'a mark', ['accept', 'drop']],
    [9600, 'a number of a processor, and drops all the same', ['drop']]
  ] as const)('nft decides about port %i by %s', (port, _, expected) => {
    expect(fates(server, 'input', syn(port))).toEqual(expected)
  })

  it('nft rules for another address of this machine do not decide', () => {
    expect(fates(server, 'input', { ...syn(9200), address: '192.168.1.7' })).toEqual(['drop'])
  })

  it('nft rules that redirect leave open where the packet goes', () => {
    expect(fates(server, 'prerouting', syn(9700))).toEqual(['accept', 'drop', 'elsewhere'])
    expect(fates(server, 'prerouting', syn(9701))).toEqual(['accept'])
  })

  it.each([
    [22, ['accept']],
    [9005, ['accept']],
    [8080, ['drop']]
  ] as const)('nft decides about port %i by the zone of firewalld', (port, expected) => {
    expect(fates(firewalld, 'filter_INPUT', syn(port))).toEqual(expected)
    for (const chain of ['mangle_PREROUTING', 'filter_PREROUTING'])
      expect(fates(firewalld, chain, syn(port))).toEqual(['accept'])
  })

  it('nft tables that iptables made are examined elsewhere', () => {
    expect(evaluateNft(server, syn(1), (table) => table === 'ip nat')?.map(({ table }) => table)).toEqual([
      'inet filter'
    ])
  })

  it.each([
    ['no rules', { nftables: [] }, []],
    ['a chain without rules', { nftables: [chainOf('input')] }, ['accept']],
    [
      'a rule of a kind that is not known',
      { nftables: [chainOf('input'), ruleOf([{ tunnel: 'x' }])] },
      ['accept', 'drop']
    ],
    [
      'a rule that matches with what is not known, and drops',
      { nftables: [chainOf('input'), ruleOf([{ osf: {} }, { drop: null }])] },
      ['accept', 'drop']
    ],
    [
      'a jump to a chain that is not listed',
      { nftables: [chainOf('input'), ruleOf([{ jump: { target: 'gone' } }])] },
      ['accept', 'drop']
    ],
    ['a jump to itself', { nftables: [chainOf('input'), ruleOf([{ jump: { target: 'input' } }])] }, ['accept', 'drop']],
    [
      'a goto',
      {
        nftables: [
          chainOf('input'),
          chainOf('other', {}),
          ruleOf([{ goto: { target: 'other' } }]),
          ruleOf([{ drop: null }])
        ]
      },
      ['accept']
    ],
    [
      'a rule without statements that are a list',
      { nftables: [chainOf('input'), { rule: { family: 'inet', table: 't', chain: 'input', expr: {} } }] },
      ['accept', 'drop']
    ]
  ])('nft: %s', (_, ruleset, expected) => {
    const hooks = evaluateNft(JSON.stringify(ruleset), syn(8080)) ?? []
    expect(hooks.flatMap((each) => [...each.fates]).toSorted()).toEqual(expected)
  })

  it.each([
    ['no flag', undefined, ['drop']],
    ['dormant', 'dormant', []],
    ['dormant among others', ['owner', 'dormant'], []],
    ['owner', 'owner', ['drop']],
    ['the name of the table, as nft 1.0.6 lists any flag', 't', ['accept', 'drop']]
  ])('nft: the rules of a table with the flag: %s', (_, flags, expected) => {
    const table = { table: { family: 'inet', name: 't', ...(flags === undefined ? {} : { flags }) } }
    const ruleset = { nftables: [table, chainOf('input'), ruleOf([{ drop: null }])] }
    const hooks = evaluateNft(JSON.stringify(ruleset), syn(8080)) ?? []
    expect(hooks.flatMap((each) => [...each.fates]).toSorted()).toEqual(expected)
  })

  it.each([
    ['new', ['accept', 'drop']],
    ['untracked', ['accept', 'drop']],
    ['established', ['accept']]
  ])('nft: a packet that a rule exempts from tracking may not be new: %s', (state, expected) => {
    const dropped = ruleOf([{ match: { op: 'in', left: { ct: { key: 'state' } }, right: state } }, { drop: null }])
    const ruleset = { nftables: [chainOf('input'), dropped, ruleOf([{ notrack: null }])] }
    const hooks = evaluateNft(JSON.stringify(ruleset), syn(8080)) ?? []
    expect(hooks.flatMap((each) => [...each.fates]).toSorted()).toEqual(expected)
  })

  it.each(['', '{', 'null', '[]', '{"nftables":{}}', 'Operation not permitted (you must be root)'])(
    'nft: %j is no list of rules',
    (text) => {
      expect(evaluateNft(text, syn(8080))).toBeUndefined()
    }
  )

  it('nft output of any form gives fates, and never throws', () => {
    const entry = fc.oneof(
      fc.record({
        chain: fc.record({
          family: fc.constantFrom('inet', 'ip'),
          table: fc.constant('t'),
          name: fc.constant('c'),
          hook: fc.constantFrom('input', 'prerouting'),
          policy: fc.constantFrom('drop', 'accept')
        })
      }),
      fc.record({
        rule: fc.record({
          family: fc.constant('inet'),
          table: fc.constant('t'),
          chain: fc.constant('c'),
          expr: fc.array(
            fc.oneof(
              fc.jsonValue(),
              fc.record({
                match: fc.record({
                  op: fc.constantFrom('==', '!=', 'in', '<'),
                  left: fc.jsonValue(),
                  right: fc.jsonValue()
                })
              }),
              fc.record({ vmap: fc.record({ key: fc.jsonValue(), data: fc.jsonValue() }) })
            )
          )
        })
      }),
      fc.record({
        set: fc.record({
          family: fc.constant('inet'),
          table: fc.constant('t'),
          name: fc.string(),
          elem: fc.jsonValue()
        })
      }),
      fc.jsonValue()
    )
    fc.assert(
      fc.property(fc.array(entry), (nftables) => {
        for (const { fates: all } of evaluateNft(JSON.stringify({ nftables }), syn(8080)) ?? [])
          expect(all.size).toBeGreaterThan(0)
      })
    )
  })
})

function chainOf(name: string, more: object = { type: 'filter', hook: 'input', policy: 'accept' }): object {
  return { chain: { family: 'inet', table: 't', name, ...more } }
}

function ruleOf(expr: readonly object[]): object {
  return { rule: { family: 'inet', table: 't', chain: 'input', expr } }
}
