import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type CircuitEnd, type CircuitPlaces, createCircuitPlaces } from '../../src/server/circuit-places.js'

const clock = virtualClock()
const home: CircuitEnd = { address: '11.0.0.1', peer: 'home' }
const open = (limits: Partial<Record<'total' | 'subnet' | 'ip', number>> = {}): CircuitPlaces<object> =>
  createCircuitPlaces<object>({ total: 1024, ip: 32, subnet: 128, peer: 16, ...limits }, clock)

/** Returns how many of `count` circuits get a place. */
function fill(places: CircuitPlaces<object>, count: number, from: CircuitEnd, to = home, cuts: object[] = []): number {
  let taken = 0
  for (let asked = 0; asked < count; asked++) {
    const circuit = {}
    if (places.take(circuit, { from, to }) !== undefined) continue
    taken++
    places.carries(circuit, () => cuts.push(from))
  }
  return taken
}

const stranger = (subnet: number, peer = 'stranger'): CircuitEnd => ({ address: `13.${subnet}.0.1`, peer })
const friend: CircuitEnd = { address: '15.0.0.1', peer: 'friend' }

describe('the places at one destination', () => {
  it('one address gets half of the places at a destination, with any number of peer ids', () => {
    const places = open()
    const taken = Array.from({ length: 8 }, (_, id) => fill(places, 8, stranger(0, `stranger ${id}`)))
    expect(taken.reduce((sum, each) => sum + each)).toBe(8)
    expect(places.take({}, { from: stranger(0), to: home })).toBe('peer')
    expect(places.take({}, { from: friend, to: home })).toBeUndefined()
  })

  it('peers behind one address have their own places, and share those of the address', () => {
    const places = open()
    const homes = Array.from({ length: 4 }, (_, index) => ({ ...home, peer: `home ${index}` }))
    const taken = homes.map((to, index) => fill(places, 8, stranger(0, `stranger ${index}`), to))
    expect(taken.reduce((sum, each) => sum + each)).toBe(16)
    for (const to of homes) expect(places.take({}, { from: friend, to })).toBeUndefined()
  })

  it('the places at a peer are independent of the circuits that it requests', () => {
    const places = open()
    for (let subnet = 0; subnet < 20; subnet++) fill(places, 1, stranger(subnet))
    expect(fill(places, 16, home, friend)).toBe(8)
    expect(fill(places, 16, home, { address: '17.0.0.1', peer: 'another' })).toBe(8)
    expect(places.take({}, { from: home, to: { address: '18.0.0.1', peer: 'one more' } })).toBe('peer')
  })

  it('a newcomer takes the place of an idle circuit of the address that holds the most', async () => {
    const places = open()
    const cuts: object[] = []
    for (let subnet = 0; subnet < 20; subnet++) fill(places, 8, stranger(subnet), home, cuts)
    expect(places.used).toBe(16)
    expect(places.take({}, { from: friend, to: home })).toBe('peer')
    await clock.advance(5000)
    expect(places.take({}, { from: friend, to: home })).toBeUndefined()
    expect({ cuts, used: places.used }).toEqual({ cuts: [stranger(0)], used: 16 })
  })

  it('a circuit keeps its place while it carries data or is being created', async () => {
    const places = open()
    const busy = Array.from({ length: 16 }, () => ({}))
    for (const [subnet, circuit] of busy.entries()) {
      places.take(circuit, { from: stranger(subnet), to: home })
      if (subnet > 0) places.carries(circuit, () => expect.unreachable())
    }
    await clock.advance(4999)
    for (const circuit of busy.slice(1)) places.moved(circuit)
    await clock.advance(4999)
    expect(places.take({}, { from: friend, to: home })).toBe('peer')
  })

  it('an address does not take places from others that hold as many, or from itself', async () => {
    const places = open()
    for (let subnet = 0; subnet < 16; subnet++) fill(places, 1, stranger(subnet))
    await clock.advance(5000)
    expect(places.take({}, { from: stranger(3), to: home })).toBe('peer')
    expect(places.used).toBe(16)
  })

  it('all places are free after the circuits are freed', () => {
    const places = open()
    const circuits = Array.from({ length: 8 }, () => ({}))
    for (const circuit of circuits) expect(places.take(circuit, { from: stranger(0), to: home })).toBeUndefined()
    for (const circuit of circuits) places.free(circuit)
    expect({ used: places.used, taken: fill(places, 16, stranger(0)) }).toEqual({ used: 0, taken: 8 })
  })
})

it('one address gets no more than half of all circuits, nor more than its limit', () => {
  const places = open({ total: 20 })
  const taken = Array.from({ length: 20 }, (_, index) =>
    fill(places, 1, stranger(0, `stranger ${index}`), { address: `19.${index}.0.1`, peer: `${index}` })
  )
  expect(taken.reduce((sum, each) => sum + each)).toBe(10)
  expect(places.take({}, { from: stranger(0), to: home })).toBe('total')
  expect(places.take({}, { from: { address: 'no address', peer: 'x' }, to: home })).toBe('address')
})
