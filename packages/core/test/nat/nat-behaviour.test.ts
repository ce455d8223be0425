import type { Behaviour, Endpoint, MultiaddrText, Observation, SharedUdpSocket } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkObservation, type NatObservation, natOf } from '../../src/nat/nat-behaviour.js'

const endpoint: Endpoint = { protocol: 'udp', family: 4, address: '192.168.1.2', port: 6000 }
const see = (
  network: number,
  address: MultiaddrText,
  more: Partial<Observation> = {},
  port = 6000
): NatObservation => ({
  party: { id: `${network}.0.0.1:3478`, network: `${network}.0.0.0/16` },
  strategy: 'stun',
  endpoint: { ...endpoint, port },
  observation: { address, ...more }
})
const here = '/ip4/11.0.0.2/udp/6000'
const otherPort = '/ip4/11.0.0.2/udp/7000'
const elsewhere = '/ip4/66.0.0.6/udp/6000'
const even = 'endpoint-independent'

describe('what follows from natObservations', () => {
  it('natOf concludes nothing without natObservations', () => {
    expect(natOf([])).toEqual({ nat: null, dispute: undefined })
  })

  it('natOf concludes nothing about the behaviour from one server with one address', () => {
    expect(natOf([see(21, here)])).toEqual({
      nat: { mapping: null, filtering: null, hairpin: 'unknown' },
      dispute: undefined
    })
  })

  it('natOf counts two servers in one network as one', () => {
    const neighbour = { ...see(21, here), party: { id: '21.0.0.9:3478', network: '21.0.0.0/16' } }
    expect(natOf([see(21, here), neighbour]).nat?.mapping).toBe(null)
  })

  it('natOf concludes endpoint-independent mapping from two servers that see the same port', () => {
    expect(natOf([see(21, here), see(31, here)]).nat?.mapping).toBe(even)
  })

  it('natOf concludes a dependent mapping from two servers that see different ports', () => {
    expect(natOf([see(21, here), see(31, otherPort)]).nat?.mapping).toBe('address-and-port-dependent')
    const told = see(21, here, { mapping: 'address-dependent' })
    expect(natOf([told, see(31, otherPort)]).nat?.mapping).toBe('address-dependent')
  })

  it('natOf believes what one server with two addresses reports', () => {
    const shown = { mapping: even, filtering: 'address-dependent', hairpin: 'works' } as const
    expect(natOf([see(21, here, shown)]).nat).toEqual(shown)
  })

  it('natOf concludes nothing from two servers that see different addresses, and reports a dispute', () => {
    const { nat, dispute } = natOf([
      see(21, here, { mapping: even, filtering: even, hairpin: 'works' }),
      see(66, elsewhere)
    ])
    expect(nat).toEqual({ mapping: null, filtering: null, hairpin: 'unknown' })
    expect(dispute).toMatchObject({ code: 'OBSERVERS_DISAGREE', message: expect.stringContaining('66.0.0.6') })
  })

  it('natOf believes two of three servers, and reports a dispute with the third', () => {
    const { nat, dispute } = natOf([see(66, elsewhere, { filtering: even }), see(21, here), see(31, here)])
    expect(nat).toEqual({ mapping: even, filtering: null, hairpin: 'unknown' })
    expect(dispute?.code).toBe('OBSERVERS_DISAGREE')
  })

  it('natOf concludes no mapping when one server sees one port from two addresses and another server a different port', () => {
    const { nat, dispute } = natOf([see(21, here, { mapping: even }), see(31, otherPort)])
    expect([nat?.mapping, dispute?.code]).toEqual([null, 'OBSERVERS_DISAGREE'])
  })

  it('natOf takes the stricter filtering of two reports, and no hairpin from contradicting reports', () => {
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

  it('natOf takes the stricter behaviour of two sockets', () => {
    const [one, two] = [see(21, here, { mapping: even }), see(21, otherPort, { mapping: 'address-dependent' }, 7000)]
    expect(natOf([one, two]).nat?.mapping).toBe('address-dependent')
  })

  it('natOf uses natObservations over IPv6 if there are none over IPv4', () => {
    const six: NatObservation = {
      ...see(21, '/ip6/2001:db8::1/udp/1', { mapping: even }),
      endpoint: { ...endpoint, family: 6, address: '2001:db8::1' }
    }
    expect(natOf([six]).nat?.mapping).toBe(even)
    expect(natOf([six, see(21, here)]).nat?.mapping).toBe(null)
  })

  it('natOf does not depend on the order of the natObservations', () => {
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
      fc.property(fc.array(sighting, { maxLength: 6 }), (natObservations) => {
        const [one, other] = [natOf(natObservations), natOf(natObservations.toReversed())]
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
])('checkObservation throws for an invalid observation: %o', (observation) => {
  const tap = { endpoint } as SharedUdpSocket
  expect(() => checkObservation(observation as Observation, tap)).toThrow(TypeError)
})
