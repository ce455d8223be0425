import { virtualClock } from '@postern/testkit'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createPlaces, createRate, type PlaceLimits, prefixesOf, type RemoteParty } from '../../src/index.js'

const limits = { total: 40, network: 20, subnet: 10, ip: 4, peer: 3 } satisfies PlaceLimits

/** Few values, so that many addresses share prefixes. */
const party = fc
  .tuple(fc.nat(2), fc.nat(2), fc.nat(5), fc.nat(9))
  .map(([a, b, c, peer]): RemoteParty => ({ address: `11.${a}.${b}.${c}`, peer: `peer${peer}` }))

const step = fc.oneof(
  fc.record({ kind: fc.constant('take' as const), member: fc.nat(60), party }),
  fc.record({ kind: fc.constant('free' as const), member: fc.nat(60) }),
  fc.record({ kind: fc.constant('make room' as const), member: fc.nat(60), party })
)

const count = <T>(list: Iterable<T>, matches: (each: T) => boolean): number => [...list].filter(matches).length

describe('createPlaces', () => {
  it('createPlaces never exceeds the limits of a prefix, of a peer or in total', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const places = createPlaces<number>(limits)
        /** The result of a simple list, for comparison. */
        const model = new Map<number, RemoteParty>()
        for (const each of steps) {
          if (each.kind === 'free') {
            places.free(each.member)
            model.delete(each.member)
          } else {
            let refusal = places.take(each.member, each.party)
            if (refusal !== undefined && each.kind === 'make room') {
              const victim = places.findVictim(each.party, refusal, (member) => member !== each.member)
              if (victim !== undefined) {
                expect(model.has(victim)).toBe(true)
                places.free(victim)
                model.delete(victim)
                refusal = places.take(each.member, each.party)
              }
            }
            if (refusal === undefined) {
              model.delete(each.member)
              model.set(each.member, each.party)
            }
          }
          expect(places.used).toBe(model.size)
          for (const { address, peer } of model.values()) {
            const own = prefixesOf(address)
            for (const level of ['ip', 'subnet', 'network'] as const) {
              const same = count(model.values(), (other) => prefixesOf(other.address)?.[level] === own?.[level])
              expect(same).toBeLessThanOrEqual(limits[level])
            }
            expect(count(model.values(), (other) => other.peer === peer)).toBeLessThanOrEqual(limits.peer)
          }
          expect(model.size).toBeLessThanOrEqual(limits.total)
        }
      })
    )
  })

  it('take refuses a place only if none is free', () => {
    fc.assert(
      fc.property(fc.array(party, { maxLength: 100 }), party, (parties, asking) => {
        const places = createPlaces<number>(limits)
        for (const [member, each] of parties.entries()) places.take(member, each)
        const refusal = places.findRefusal(asking)
        expect(places.take(-1, asking)).toBe(refusal)
        expect(places.has(-1)).toBe(refusal === undefined)
        places.free(-1)
        for (const member of parties.keys()) places.free(member)
        expect(places.used).toBe(0)
        expect(places.findRefusal(asking)).toBe(undefined)
      })
    )
  })

  it('n greedy prefixes leave one place in n + 1 free for a newcomer', () => {
    const hogs = fc.integer({ min: 1, max: 30 })
    fc.assert(
      fc.property(hogs, fc.integer({ min: 64, max: 512 }), (n, total) => {
        const places = createPlaces<object>({ total, ip: total })
        for (let round = 0; round < total; round++) {
          for (let hog = 0; hog < n; hog++) places.take({}, { address: `11.0.0.${hog}` })
        }
        expect(total - places.used).toBeGreaterThanOrEqual(Math.floor(total / (n + 1)))
        expect(places.findRefusal({ address: '12.0.0.1' })).toBe(undefined)
      })
    )
  })

  it('prefixes that hold one place each can use all places', () => {
    const places = createPlaces<number>({ total: 256, subnet: 32, ip: 4 })
    for (let index = 0; index < 256; index++) expect(places.take(index, { address: `11.${index}.0.1` })).toBe(undefined)
    expect(places.findRefusal({ address: '12.0.0.1' })).toBe('total')
  })

  it('take names the narrowest level that has no free place', () => {
    const at = (address: string, peer = address): RemoteParty => ({ address, peer })
    const places = createPlaces<object>({ total: 100, network: 50, subnet: 6, ip: 2, peer: 2 })
    const take = (each: RemoteParty) => places.take({}, each)
    expect([take(at('11.0.0.1', 'a')), take(at('11.0.0.1', 'b'))]).toEqual([undefined, undefined])
    expect(take(at('11.0.0.1', 'c'))).toBe('ip')
    expect(take(at('12.0.0.1', 'a'))).toBe(undefined)
    expect(take(at('13.0.0.1', 'a'))).toBe('peer')
    expect(take(at('::ffff:11.0.0.1'))).toBe('ip')
    for (const host of [2, 3, 4, 5]) expect(take(at(`11.0.0.${host}`))).toBe(undefined)
    expect(take(at('11.0.0.6'))).toBe('subnet')
    expect(take(at('11.0.1.6'))).toBe(undefined)
    expect(take(at('relay.example.org'))).toBe('address')
  })

  it('take does not count the old place of a member that takes a new one', () => {
    const places = createPlaces<string>({ total: 2, ip: 1 })
    expect(places.take('peer', { address: '11.0.0.1' })).toBe(undefined)
    expect(places.take('peer', { address: '11.0.0.1' })).toBe(undefined)
    expect(places.take('peer', { address: '12.0.0.1' })).toBe(undefined)
    expect(places.used).toBe(1)
    expect(places.take('other', { address: '11.0.0.1' })).toBe(undefined)
    expect(places.take('peer', { address: '11.0.0.1' })).toBe('ip')
    expect(places.has('peer')).toBe(true)
  })

  it.each([{ total: 0 }, { total: 1.5 }, { total: 5, ip: Number.NaN }, { total: 5, peer: -1 }])(
    'cannot be %j: a TypeError',
    (wrong) => {
      expect(() => createPlaces(wrong)).toThrow(TypeError)
    }
  )
})

describe('findVictim', () => {
  const any = (): boolean => true

  it('findVictim returns the oldest removable member of the prefix that holds the most', () => {
    const places = createPlaces<string>({ total: 7 })
    for (const [member, address] of [
      ['a1', '11.0.0.1'],
      ['b1', '12.0.0.1'],
      ['b2', '12.0.0.1'],
      ['b3', '12.0.1.1'],
      ['a2', '11.0.0.1'],
      ['b4', '12.0.0.1'],
      ['c1', '13.0.0.1']
    ] as const)
      expect(places.take(member, { address })).toBe(undefined)
    const newcomer = { address: '14.0.0.1' }
    expect(places.findRefusal(newcomer)).toBe('total')
    expect(places.findVictim(newcomer, 'total', any)).toBe('b1')
    expect(places.findVictim(newcomer, 'total', (member) => member !== 'b1')).toBe('b2')
    expect(places.findVictim(newcomer, 'total', (member) => !member.startsWith('b'))).toBe('a1')
    expect(places.findVictim(newcomer, 'total', () => false)).toBe(undefined)
  })

  it('findVictim spares prefixes that hold no more than the prefix of the newcomer', () => {
    const places = createPlaces<number>({ total: 4 })
    for (const [member, address] of ['11.0.0.1', '12.0.0.1', '13.0.0.1', '14.0.0.1'].entries())
      places.take(member, { address })
    expect(places.findVictim({ address: '11.0.9.9' }, 'total', (member) => member !== 0)).toBe(undefined)
    expect(places.findVictim({ address: '15.0.0.1' }, 'total', any)).toBe(0)
  })

  it('findVictim returns the oldest member of the same IP address or peer if that one is full', () => {
    const places = createPlaces<string>({ total: 100, ip: 2, peer: 2 })
    places.take('first', { address: '11.0.0.1', peer: 'a' })
    places.take('second', { address: '11.0.0.1', peer: 'b' })
    places.take('elsewhere', { address: '12.0.0.1', peer: 'b' })
    expect(places.findVictim({ address: '11.0.0.1', peer: 'c' }, 'ip', any)).toBe('first')
    expect(places.findVictim({ address: '13.0.0.1', peer: 'b' }, 'peer', any)).toBe('second')
  })

  it('findVictim makes room for a newcomer although 40 addresses hold all places', () => {
    const places = createPlaces<object>({ total: 384, subnet: 128, ip: 32 })
    const hosts = Array.from({ length: 40 }, (_, host) => ({ address: `13.0.0.${host}` }))
    for (let round = 0; round < 50; round++) {
      for (const each of hosts) {
        const refusal = places.take({}, each)
        const victim = refusal && places.findVictim(each, refusal, any)
        if (victim === undefined) continue
        places.free(victim)
        places.take({}, each)
      }
    }
    const honest = { address: '13.0.0.200' }
    const refusal = places.findRefusal(honest)
    const victim = refusal && places.findVictim(honest, refusal, any)
    if (victim !== undefined) places.free(victim)
    expect(places.findRefusal(honest)).toBe(undefined)
  })
})

describe('createRate', () => {
  it('createRate counts accepted events within the window, and no refused ones', async () => {
    const clock = virtualClock()
    const rate = createRate({ total: 10, ip: 2 }, 1000, clock)
    const take = () => rate.take({ address: '11.0.0.1' })
    expect([take(), take(), take(), take()]).toEqual([undefined, undefined, 'ip', 'ip'])
    expect(rate.take({ address: '12.0.0.1' })).toBe(undefined)
    await clock.advance(999)
    expect(take()).toBe('ip')
    await clock.advance(1)
    expect([take(), take(), take()]).toEqual([undefined, undefined, 'ip'])
  })

  it('createRate leaves room for newcomers however often others ask', () => {
    const rate = createRate({ total: 60, ip: 30 }, 60_000, virtualClock())
    for (let round = 0; round < 1000; round++) rate.take({ address: '11.0.0.1' })
    for (let round = 0; round < 1000; round++) rate.take({ address: '12.0.0.1' })
    expect(rate.take({ address: '13.0.0.1' })).toBe(undefined)
  })
})
