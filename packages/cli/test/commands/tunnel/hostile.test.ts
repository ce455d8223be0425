import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openTunnel } from '../../../src/commands/tunnel/forward.js'
import {
  answers,
  decodeAnswer,
  decodeWish,
  firstByte,
  tunnelProtocol,
  wishes
} from '../../../src/commands/tunnel/protocol.js'
import { recordsOf } from '../../../src/commands/tunnel/records.js'
import type { Served } from '../../../src/commands/tunnel/serve.js'
import { bare, endOn, heard, heardOn, isReset, served, tunnelNode } from './tunnel-nodes.js'

const call = { signal: new AbortController().signal }

describe('the bytes of a tunnel', () => {
  it('the decoders return a wish or an answer or throw a NatError for any byte', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1, max: 255 }), (byte) => {
        for (const [decode, known] of [
          [decodeWish, wishes],
          [decodeAnswer, answers]
        ] as const) {
          try {
            expect(Object.keys(known)).toContain(decode(byte))
          } catch (error) {
            expect(isNatError(error) && error.code).toBe('MALFORMED_REPLY')
          }
        }
      })
    )
  })
})

describe('a peer that is allowed', () => {
  it('an allowed peer may send data with its request without losing any', async () => {
    const { local, connection } = await served()
    const stream = await bare(connection)
    stream.send(
      Buffer.concat([Buffer.of(wishes.connect), ...recordsOf(Buffer.from('early')).map((each) => each.subarray())])
    )
    const there = heard(await local.next())
    expect(await firstByte(stream, call)).toBe(answers.accepted)
    const here = heardOn(stream)
    await endOn(stream)
    expect(await there).toBe('early')
    local.sockets[0]?.end('late')
    expect(await here).toBe('late')
  })

  it.each([
    ['with a byte that is no wish', Buffer.of(200)],
    ['with garbage', Buffer.concat([Buffer.of(255), randomBytes(64 * 1024)])]
  ])('a stream of an allowed peer that begins %s is reset, and nothing is connected', async (_, bytes) => {
    const { local, news, connection } = await served()
    const stream = await bare(connection)
    const reset = isReset(stream)
    stream.send(bytes)
    expect(await reset).toBe(true)
    expect({ sockets: local.sockets.length, news }).toEqual({ sockets: 0, news: [] })
  })

  it('a silent stream of an allowed peer is reset after 10 s', async () => {
    const { local, clock, connection } = await served()
    const stream = await bare(connection)
    const reset = isReset(stream)
    await expect.poll(() => clock.pending, { interval: 5 }).toBe(1)
    await clock.advance(9_999)
    expect(stream.status).toBe('open')
    await clock.advance(1)
    expect(await reset).toBe(true)
    expect(local.sockets).toEqual([])
  })

  it('a stream that ends before its request is reset at once', async () => {
    const { local, clock, connection } = await served()
    const stream = await bare(connection)
    const reset = isReset(stream)
    await stream.close()
    expect(await reset).toBe(true)
    expect({ sockets: local.sockets.length, pending: clock.pending }).toEqual({ sockets: 0, pending: 0 })
  })

  it('a peer that resets its streams at any moment leaves no connection to the service, and gets its places back', async () => {
    const { local, news, connection } = await served({ maxPerPeer: 2 })
    for (let turn = 0; turn < 30; turn++) {
      const stream = await bare(connection)
      stream.send(Buffer.of(wishes.connect))
      for (let later = 0; later < turn % 6; later++) await setImmediate()
      stream.abort(new Error('no more'))
    }
    const count = (event: Served['event']): number => news.filter((each) => each.event === event).length
    await expect.poll(() => connection.streams.length, { interval: 5 }).toBe(0)
    await expect.poll(() => count('opened') - count('closed'), { interval: 5 }).toBe(0)
    for (const socket of local.sockets) socket.on('end', () => socket.end()).resume()
    await expect.poll(() => local.sockets.filter(({ closed }) => !closed).length, { interval: 5 }).toBe(0)
    const again = await Promise.all([1, 2].map(() => openTunnel(connection, 'connect', call)))
    expect(again.map(({ answer }) => answer)).toEqual(['accepted', 'accepted'])
  })

  it('an allowed peer is refused connections beyond its limit, and gets a place back', async () => {
    const { local, news, connection } = await served({ maxPerPeer: 3 })
    const opened = await Promise.all(Array.from({ length: 10 }, () => openTunnel(connection, 'connect', call)))
    const accepted = opened.filter(({ answer }) => answer === 'accepted')
    expect(opened.filter(({ answer }) => answer === 'too-many')).toHaveLength(7)
    expect(accepted).toHaveLength(3)
    await expect.poll(() => local.sockets.length, { interval: 5 }).toBe(3)
    accepted[0]?.stream.abort(new Error('done'))
    await expect.poll(() => news.some(({ event }) => event === 'closed'), { interval: 5 }).toBe(true)
    expect(await openTunnel(connection, 'connect', call)).toMatchObject({ answer: 'accepted' })
  })

  it('an allowed peer cannot hold more than 256 silent streams open', { timeout: 30_000 }, async () => {
    const { local, clock, connection, inbound } = await served()
    const held = (): number => inbound().streams.filter(({ protocol }) => protocol === tunnelProtocol).length
    for (let opened = 0; opened < 400; opened += 5) {
      await Promise.allSettled(Array.from({ length: 5 }, () => bare(connection, 2000)))
    }
    await expect.poll(() => clock.pending, { interval: 5 }).toBe(256)
    expect(held()).toBeLessThanOrEqual(256)
    await clock.advance(10_000)
    await expect.poll(held, { interval: 5 }).toBe(0)
    expect({ pending: clock.pending, sockets: local.sockets.length }).toEqual({ pending: 0, sockets: 0 })
    expect(await openTunnel(connection, 'connect', call)).toMatchObject({ answer: 'accepted' })
  })

  it('an allowed peer that requests 10,000 connections at once gets only its limit', { timeout: 30_000 }, async () => {
    const { local, clock, guest, connection } = await served({ maxPerPeer: 3 })
    const flood = Array.from({ length: 10_000 }, async () => {
      const stream = await bare(connection, 20_000)
      stream.send(Buffer.of(wishes.connect))
    })
    await Promise.allSettled(flood)
    expect(local.sockets.length).toBeLessThanOrEqual(3)
    connection.abort(new Error('enough'))
    await expect.poll(() => clock.pending, { interval: 5 }).toBe(0)
    const again = await guest.dial(connection.remoteAddr)
    expect(await openTunnel(again, 'ask', call)).toMatchObject({ answer: 'accepted' })
  })
})

describe('a peer that is not allowed', () => {
  it.each(['ask', 'connect'] as const)('a refused peer gets an answer, and nothing is connected: %s', async (wish) => {
    const { local, news, connection, guest } = await served({ allowed: false })
    expect(await openTunnel(connection, wish, call)).toMatchObject({ answer: 'not-allowed' })
    expect(news).toEqual([{ event: 'refused', peer: guest.peerId.toString(), direct: true, reason: 'not-allowed' }])
    expect(local.sockets).toEqual([])
  })

  it('a refused peer cannot keep a stream by never ending it', async () => {
    const { local, clock, connection } = await served({ allowed: false })
    const stream = await bare(connection)
    const reset = isReset(stream)
    expect(await firstByte(stream, call)).toBe(answers['not-allowed'])
    stream.send(Buffer.concat([Buffer.of(wishes.connect), randomBytes(4096)]))
    await expect.poll(() => clock.pending, { interval: 5 }).toBe(1)
    await clock.advance(10_000)
    expect(await reset).toBe(true)
    expect(local.sockets).toEqual([])
  })
})

describe('a peer that requests a tunnel', () => {
  it.each([
    ['an answer that is none', Buffer.of(77)],
    ['garbage', Buffer.concat([Buffer.of(254), randomBytes(4096)])]
  ])('openTunnel rejects with a NatError for %s', async (_, bytes) => {
    const [here, there] = await Promise.all([tunnelNode(), tunnelNode()])
    await there.handle(tunnelProtocol, (stream) => void stream.send(bytes))
    const connection = await here.dial(there.getMultiaddrs())
    await expect(openTunnel(connection, 'connect', call)).rejects.toMatchObject({ code: 'MALFORMED_REPLY' })
    expect(connection.streams.filter(({ protocol }) => protocol === tunnelProtocol)).toEqual([])
  })
})
