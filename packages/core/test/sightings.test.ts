import type { Behaviour, DatagramTap, Endpoint, MultiaddrText, Observation } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkObservation, natOf, type Sighting } from '../src/sightings.js'

const endpoint: Endpoint = { protocol: 'udp', family: 4, address: '192.168.1.2', port: 6000 }
const see = (network: number, address: MultiaddrText, more: Partial<Observation> = {}, port = 6000): Sighting => ({
  party: { id: `${network}.0.0.1:3478`, network: `${network}.0.0.0/16` },
  strategy: 'stun',
  endpoint: { ...endpoint, port },
  observation: { address, ...more }
})
const here = '/ip4/11.0.0.2/udp/6000'
const otherPort = '/ip4/11.0.0.2/udp/7000'
const elsewhere = '/ip4/66.0.0.6/udp/6000'
const even = 'endpoint-independent'

describe('what follows from sightings', () => {
  it('of nobody is nothing', () => {
    expect(natOf([])).toEqual({ nat: null, dispute: undefined })
  })

  it('of one server with one address is only that there is an answer', () => {
    expect(natOf([see(21, here)])).toEqual({
      nat: { mapping: null, filtering: null, hairpin: 'unknown' },
      dispute: undefined
    })
  })

  it('of two servers in one network is no more: they may be one', () => {
    const neighbour = { ...see(21, here), party: { id: '21.0.0.9:3478', network: '21.0.0.0/16' } }
    expect(natOf([see(21, here), neighbour]).nat?.mapping).toBe(null)
  })

  it('of two servers that see the same port is that it is the same for all', () => {
    expect(natOf([see(21, here), see(31, here)]).nat?.mapping).toBe(even)
  })

  it('of two servers that see different ports is that it depends on the destination', () => {
    expect(natOf([see(21, here), see(31, otherPort)]).nat?.mapping).toBe('address-and-port-dependent')
    const told = see(21, here, { mapping: 'address-dependent' })
    expect(natOf([told, see(31, otherPort)]).nat?.mapping).toBe('address-dependent')
  })

  it('of one server with two addresses is what it shows', () => {
    const shown = { mapping: even, filtering: 'address-dependent', hairpin: 'works' } as const
    expect(natOf([see(21, here, shown)]).nat).toEqual(shown)
  })

  it('that two see at different addresses is that one of them is wrong, and nothing else', () => {
    const { nat, dispute } = natOf([
      see(21, here, { mapping: even, filtering: even, hairpin: 'works' }),
      see(66, elsewhere)
    ])
    expect(nat).toEqual({ mapping: null, filtering: null, hairpin: 'unknown' })
    expect(dispute).toMatchObject({ code: 'OBSERVERS_DISAGREE', message: expect.stringContaining('66.0.0.6') })
  })

  it('of a liar among three is what the two others see, and that there is a liar', () => {
    const { nat, dispute } = natOf([see(66, elsewhere, { filtering: even }), see(21, here), see(31, here)])
    expect(nat).toEqual({ mapping: even, filtering: null, hairpin: 'unknown' })
    expect(dispute?.code).toBe('OBSERVERS_DISAGREE')
  })

  it('of a port that two addresses of one server see, and another server does not, is nothing', () => {
    const { nat, dispute } = natOf([see(21, here, { mapping: even }), see(31, otherPort)])
    expect([nat?.mapping, dispute?.code]).toEqual([null, 'OBSERVERS_DISAGREE'])
  })

  it('is the worse of what two say of the filtering, and nothing of a hairpin that they contradict each other in', () => {
    const [open, shut] = [
      see(21, here, { filtering: even, hairpin: 'works' }),
      see(31, here, { filtering: 'address-and-port-dependent', hairpin: 'fails' })
    ]
    expect(natOf([open, shut]).nat).toEqual({
      mapping: even,
      filtering: 'address-and-port-dependent',
      hairpin: 'unknown'
    })
  })

  it('of two sockets is the worse one', () => {
    const [one, two] = [see(21, here, { mapping: even }), see(21, otherPort, { mapping: 'address-dependent' }, 7000)]
    expect(natOf([one, two]).nat?.mapping).toBe('address-dependent')
  })

  it('over IPv6 counts where nobody was asked over IPv4', () => {
    const six: Sighting = {
      ...see(21, '/ip6/2001:db8::1/udp/1', { mapping: even }),
      endpoint: { ...endpoint, family: 6, address: '2001:db8::1' }
    }
    expect(natOf([six]).nat?.mapping).toBe(even)
    expect(natOf([six, see(21, here)]).nat?.mapping).toBe(null)
  })

  it('does not depend on who was asked first, whatever they say', () => {
    const behaviour = fc.option(fc.constantFrom<Behaviour>(even, 'address-dependent', 'address-and-port-dependent'), {
      nil: undefined
    })
    const sighting = fc
      .record({
        network: fc.integer({ min: 21, max: 24 }),
        address: fc.constantFrom<MultiaddrText>(here, otherPort, elsewhere),
        mapping: behaviour,
        filtering: behaviour
      })
      .map(({ network, address, mapping, filtering }) =>
        see(network, address, { ...(mapping && { mapping }), ...(filtering && { filtering }) })
      )
    fc.assert(
      fc.property(fc.array(sighting, { maxLength: 6 }), (sightings) => {
        const [one, other] = [natOf(sightings), natOf(sightings.toReversed())]
        expect(one.nat).toEqual(other.nat)
        expect(one.dispute?.code).toBe(other.dispute?.code)
      })
    )
  })
})

it.each([
  { address: '/ip4/1.2.3.4/tcp/1' },
  { address: '/ip6/2001:db8::1/udp/1' },
  { address: '/dns4/a/udp/1' },
  { address: 7 },
  { address: here, mapping: 'symmetric' },
  { address: here, filtering: 'none' },
  { address: here, hairpin: 'unknown' }
])('what is no observation is not taken for one: %o', (observation) => {
  const tap = { endpoint } as DatagramTap
  expect(() => checkObservation(observation as Observation, tap)).toThrow(TypeError)
})
