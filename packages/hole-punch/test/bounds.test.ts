import { multiaddr } from '@multiformats/multiaddr'
import { natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBudget } from '../src/dial/syn-budget.js'
import { targetOf, targetsOf } from '../src/dial/targets.js'
import { manyPlaces, manyPorts, pairsOf } from '../src/nat/port-pairs.js'
import { causeOf } from '../src/upgrade/causes.js'

const bytesOf = (...addresses: readonly string[]): readonly Uint8Array[] =>
  addresses.map((each) => multiaddr(each).bytes)
const port = (localPort: number, host = '11.0.0.2') => ({
  localPort,
  external: { host, port: localPort, family: 4 as const }
})
const target = (host: string, number: number) => ({ host, port: number, family: 4 as const })

describe('targetsOf', () => {
  const own = new Set(['21.0.0.9'])

  it('targetsOf accepts a public address with a TCP port', () => {
    expect(targetsOf(bytesOf('/ip4/21.0.0.1/tcp/4001', '/ip6/2a00:1::1/tcp/5'), own)).toEqual([
      { host: '21.0.0.1', port: 4001, family: 4 },
      { host: '2a00:1::1', port: 5, family: 6 }
    ])
  })

  it.each([
    ['private', '/ip4/192.168.1.1/tcp/80'],
    ['loopback', '/ip4/127.0.0.1/tcp/22'],
    ['link-local', '/ip6/fe80::1/tcp/22'],
    ['a loopback address in IPv6 form', '/ip6/::ffff:127.0.0.1/tcp/22'],
    ['multicast', '/ip4/224.0.0.1/tcp/22'],
    ['an address of a carrier-grade NAT', '/ip4/100.64.0.1/tcp/22'],
    ['our own address', '/ip4/21.0.0.9/tcp/22'],
    ['our own address in IPv6 form', '/ip6/::ffff:21.0.0.9/tcp/22'],
    ['UDP', '/ip4/21.0.0.1/udp/4001/quic-v1'],
    ['a WebSocket address', '/ip4/21.0.0.1/tcp/4001/ws'],
    ['relayed', '/ip4/21.0.0.1/tcp/4001/p2p/12D3KooWHeenJjh6gDiFhPgzURVYLqFHcoAMEAfKktLyhahhMcMM/p2p-circuit'],
    ['a DNS name', '/dns4/example.org/tcp/80'],
    ['an address without a port', '/ip4/21.0.0.1/tcp/0']
  ])('targetsOf drops %s', (_, address) => expect(targetsOf(bytesOf(address), own)).toEqual([]))

  it('targetsOf returns at most eight distinct targets', () => {
    const addresses = Array.from({ length: 20 }, (_, index) => `/ip4/21.0.0.1/tcp/${4000 + index}`)
    expect(targetsOf(bytesOf(...addresses), own)).toHaveLength(8)
    expect(targetsOf(bytesOf('/ip4/21.0.0.1/tcp/1', '/ip4/21.0.0.1/tcp/1'), own)).toHaveLength(1)
  })

  it('targetOf does not throw for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(() => targetOf(bytes)).not.toThrow()
      })
    )
  })
})

describe('the pairs of ports and targets', () => {
  it('equally many ports and targets are paired one to one', () => {
    expect(pairsOf([port(1), port(2)], [target('21.0.0.1', 5), target('21.0.0.1', 6)])).toEqual([
      { localPort: 1, target: target('21.0.0.1', 5) },
      { localPort: 2, target: target('21.0.0.1', 6) }
    ])
  })

  it('other numbers are paired each with each, up to sixteen', () => {
    expect(pairsOf([port(1)], [target('21.0.0.1', 5), target('21.0.0.1', 6)])).toHaveLength(2)
    const ports = [1, 2, 3].map((each) => port(each))
    expect(
      pairsOf(
        ports,
        Array.from({ length: 8 }, (_, index) => target('21.0.0.1', 5 + index))
      )
    ).toHaveLength(16)
  })

  it('ports and targets of different families are not paired', () => {
    expect(pairsOf([port(1)], [{ host: '2a00::1', port: 5, family: 6 }])).toEqual([])
  })

  it('guessing pairs many ports with one target, or one port with many targets', () => {
    const ports = manyPorts(target('21.0.0.1', 5)).map(({ localPort }) => localPort)
    expect(new Set(ports).size).toBe(256)
    const places = manyPlaces(port(1), target('21.0.0.1', 5)).map((pair) => pair.target.port)
    expect(new Set(places).size).toBe(1024)
    expect(places.every((each) => each >= 1024 && each <= 65_535)).toBe(true)
  })
})

describe('the budget of SYNs', () => {
  const limits = { perAddress: 2, perNetwork: 3, inAll: 5 }

  it('the budget limits the SYNs per minute by address, by network and in total', async () => {
    const clock = virtualClock()
    const budget = createBudget(clock, limits)
    expect([1, 2, 3].map(() => budget.take('21.0.0.1'))).toEqual([true, true, false])
    expect([1, 2].map(() => budget.take('21.0.0.2'))).toEqual([true, false])
    expect([1, 2, 3].map(() => budget.take('31.0.0.1'))).toEqual([true, true, false])
    expect(budget.take('41.0.0.1')).toBe(false)
    await clock.advance(60_000)
    expect(budget.take('21.0.0.1')).toBe(true)
  })
})

describe('the cause of a failure', () => {
  const refused = natError('REFUSED', 'refused')
  const late = natError('NO_REPLY', 'late')
  const symmetric = 'address-and-port-dependent'
  const independent = 'endpoint-independent'
  it.each([
    ['both NATs are symmetric', [late], [symmetric, symmetric], 'symmetric-both'],
    ['one of the NATs is symmetric', [late], [independent, symmetric], 'symmetric-one'],
    ['every round was refused', [refused, refused], [independent, independent], 'refused'],
    ['some rounds were not answered', [refused, late], [undefined, undefined], 'timeout'],
    ['there was no round', [], [undefined, undefined], 'timeout'],
    ['the peer does not speak DCUtR', [natError('UNSUPPORTED', '')], [symmetric, undefined], 'unsupported'],
    ['no peer observes a port', [natError('EXTERNAL_ADDRESS_UNKNOWN', '')], [undefined, undefined], 'no-observer'],
    ['the limit of SYNs was reached', [late, natError('QUOTA_EXCEEDED', '')], [undefined, undefined], 'too-many'],
    ['the peer sent no public address', [natError('GRANT_INVALID', '')], [undefined, undefined], 'no-targets']
  ] as const)('causeOf returns the cause where %s', (_, errors, mappings, cause) =>
    expect(causeOf(errors, mappings)).toBe(cause)
  )
})
