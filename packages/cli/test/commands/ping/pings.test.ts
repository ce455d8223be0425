import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import { type Pinged, pingUntil } from '../../../src/commands/ping/pings.js'

const relay = '/ip4/21.0.0.1/tcp/4001/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'

/** A peer whose connections and answers the test controls. */
function scripted(given: { count?: number; untilDirect?: boolean } = {}) {
  const { count = 10, untilDirect = true } = given
  const clock = virtualClock()
  const open: Connection[] = []
  const told: Pinged[] = []
  const ended = new AbortController()
  let dials = 0
  const peer = {
    dial: async (): Promise<Connection> => peer.connect('relayed'),
    ping: async (_: Connection): Promise<number> => 20.12345,
    connect(via: 'direct' | 'relayed'): Connection {
      const connection = {
        status: 'open',
        remoteAddr: multiaddr(via === 'direct' ? '/ip4/11.0.0.2/tcp/1' : `${relay}/p2p-circuit`),
        abort: () => void open.splice(open.indexOf(connection), 1)
      } as unknown as Connection
      if (via === 'direct') open.unshift(connection)
      else open.push(connection)
      return connection
    }
  }
  // The test changes the peer before the first ping.
  const begin = () =>
    pingUntil(
      {
        open: () => open,
        dial: async () => {
          dials++
          return peer.dial()
        },
        ping: (connection) => peer.ping(connection)
      },
      { count, intervalMs: 1000, untilDirect, told: (each) => void told.push(each) },
      { clock, signal: ended.signal }
    )
  const result = Promise.resolve().then(begin)
  return { clock, told, peer, ended, result, open, dials: () => dials }
}

it('pings over a relay, and ends with the first direct answer', async () => {
  const { clock, peer, result, dials } = scripted()
  await clock.advance(1000)
  peer.connect('direct')
  await clock.advance(1000)
  expect(await result).toEqual([
    { event: 'pong', ping: 1, via: 'relayed', address: relay, rttMs: 20.123 },
    { event: 'pong', ping: 2, via: 'relayed', address: relay, rttMs: 20.123 },
    { event: 'pong', ping: 3, via: 'direct', address: '/ip4/11.0.0.2/tcp/1', rttMs: 20.123 }
  ])
  expect(dials()).toBe(1)
})

it.each([
  ['all relayed', true, 'relayed', 3],
  ['direct, and not told to end with that', false, 'direct', 3],
  ['direct', true, 'direct', 1]
] as const)('sends the number of pings if the answers are %s', async (_, untilDirect, via, pings) => {
  const { clock, peer, result } = scripted({ count: 3, untilDirect })
  peer.connect(via)
  await clock.advance(10_000)
  expect((await result).map(({ event }) => event)).toEqual(Array(pings).fill('pong'))
})

it('closes a connection without an answer after 5 s, and dials again', async () => {
  const { clock, peer, result, told, dials, open } = scripted({ count: 2 })
  const answers = peer.ping
  peer.ping = () => new Promise(() => undefined)
  await clock.advance(4999)
  expect([told, open.length]).toEqual([[], 1])
  await clock.advance(1)
  expect(told).toEqual([{ event: 'no-answer', ping: 1, code: 'NO_REPLY', message: 'no answer in time' }])
  expect(open).toEqual([])
  peer.ping = answers
  await clock.advance(1000)
  expect((await result).at(-1)).toMatchObject({ event: 'pong', ping: 2 })
  expect(dials()).toBe(2)
})

it('reports why a peer is not reached, and a dial that does not end after 15 s', async () => {
  const { clock, peer, result } = scripted({ count: 2 })
  peer.dial = async () => {
    peer.dial = () => new Promise(() => undefined)
    throw new Error('no \u001b[31mreservation')
  }
  await clock.advance(16_000)
  expect(await result).toEqual([
    { event: 'no-answer', ping: 1, code: null, message: 'no \\u001b[31mreservation' },
    { event: 'no-answer', ping: 2, code: 'NO_REPLY', message: 'no answer in time' }
  ])
})

it('ends with a peer that does not speak the protocol, and keeps its connection', async () => {
  const { peer, result, open } = scripted()
  peer.ping = async () => {
    throw natError('UNSUPPORTED', 'the peer does not speak /ipfs/ping/1.0.0')
  }
  expect(await result).toMatchObject([{ event: 'no-answer', code: 'UNSUPPORTED' }])
  expect(open).toHaveLength(1)
})

it.each([
  ['in a dial', 0],
  ['in a pause', 500]
])('an interruption %s ends the pings without an answer', async (_, ms) => {
  const { clock, peer, result, ended, told } = scripted()
  if (ms === 0) peer.dial = () => new Promise(() => undefined)
  await clock.advance(ms)
  const before = told.length
  ended.abort()
  expect(await result).toHaveLength(before)
  expect(told).toHaveLength(before)
})
