import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { dcutr } from '@libp2p/dcutr'
import { lpStream } from '@libp2p/utils'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { dcutrProtocol, encodeMessage, mostBytes } from '../src/codec.js'
import { type Connect, systemConnect } from '../src/sockets.js'
import { dialDirectly, dialThrough, type Node, search, trio } from './nodes.js'

const connectTo = (...addresses: readonly string[]): Uint8Array =>
  encodeMessage({ kind: 'connect', addresses: addresses.map((each) => multiaddr(each).bytes) })
const sync = encodeMessage({ kind: 'sync' })

/** Answers our rounds in its own way. Tells how many it was asked. */
async function answering(node: Node, answer: (stream: Stream) => Promise<void> | void): Promise<() => number> {
  let count = 0
  await node.libp2p.handle(
    dcutrProtocol,
    async (stream) => {
      count++
      await answer(stream)
    },
    { runOnLimitedConnection: true }
  )
  return () => count
}

/** Remembers where sockets go. */
function recorded(): { readonly connect: Connect; readonly ports: number[] } {
  const ports: number[] = []
  return {
    ports,
    connect: (options) => {
      ports.push(options.port)
      return systemConnect(options)
    }
  }
}

const portOf = ({ address }: Node): number => Number(/tcp\/(\d+)/.exec(address)?.[1])

describe('a peer that was let in through the relay', () => {
  it('and does not speak the protocol fails for that reason, at once', async () => {
    const { relay, ours, other } = await trio()
    const looking = search(ours)
    await dialThrough(relay, other, ours)
    expect(await looking.news('failed')).toMatchObject({ peer: other.id, cause: 'unsupported' })
  })

  it.each([
    ['sends bytes that are no message', (stream: Stream) => void stream.send(Uint8Array.of(3, 255, 255, 255))],
    ['sends more than a message may be', (stream: Stream) => void stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff))],
    ['sends SYNC where CONNECT is due', async (stream: Stream) => lpStream(stream).write(sync)],
    ['resets every stream', (stream: Stream) => stream.abort(new Error('no'))],
    ['closes every stream', async (stream: Stream) => stream.close()]
  ])('and %s is given up after three rounds', async (_, answer) => {
    const { relay, ours, other } = await trio()
    const asked = await answering(other, answer)
    const looking = search(ours)
    await dialThrough(relay, other, ours)
    expect(await looking.news('failed')).toMatchObject({ cause: 'timeout' })
    expect(asked()).toBe(3)
  })

  it('and never answers costs ten seconds, and nothing else', async () => {
    const { relay, ours, other } = await trio()
    const asked = await answering(other, () => undefined)
    const clock = virtualClock()
    const looking = search(ours, { rounds: 1 }, clock)
    await dialThrough(relay, other, ours)
    await expect.poll(async () => (await clock.advance(10), asked()), { timeout: 4000 }).toBe(1)
    await clock.advance(9000)
    expect(looking.findings.filter((each) => each.kind === 'notice')).toHaveLength(2)
    await clock.advance(1000)
    expect(await looking.news('failed')).toMatchObject({ cause: 'timeout' })
  })

  it.each([
    ['private and loopback ones', ['/ip4/192.168.1.1/tcp/80', '/ip4/127.0.0.1/tcp/22', '/ip6/::1/tcp/22']],
    ['with a second place behind the port', ['/ip4/11.0.0.1/tcp/443/tls/sni/127.0.0.1/ws', '/dns4/localhost/tcp/22']],
    ['none', []]
  ])('and names no address but %s has nothing dialled', async (_, addresses) => {
    const { relay, ours, other } = await trio()
    await answering(other, async (stream) => {
      const messages = lpStream(stream)
      await messages.read()
      await messages.write(connectTo(...addresses))
    })
    const { connect, ports } = recorded()
    const looking = search(ours, { connect }, undefined)
    await dialThrough(relay, other, ours)
    expect(await looking.news('failed')).toMatchObject({ cause: 'no-targets' })
    // Only the relay was dialled, to be shown the ports.
    expect(new Set(ports)).toEqual(new Set([portOf(relay)]))
  })
})

describe('a peer that we have dialled through the relay', () => {
  const begin = async (from: Node, to: Node): Promise<Stream> => {
    const connection = from.libp2p.getConnections(to.libp2p.peerId)[0]
    if (connection === undefined) throw new Error('not connected')
    return connection.newStream(dcutrProtocol, { runOnLimitedConnection: true })
  }

  it('and begins more rounds than one after the other has the others refused', async () => {
    const { relay, ours, other } = await trio()
    search(ours)
    await dialThrough(relay, ours, other)
    const opened = await Promise.allSettled(Array.from({ length: 40 }, async () => begin(other, ours)))
    const streams = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    await expect.poll(() => streams.filter(({ status }) => status === 'open').length, { timeout: 5000 }).toBeLessThan(3)
  })

  it('and begins with bytes that are no message is answered nothing', async () => {
    const { relay, ours, other } = await trio()
    const looking = search(ours)
    await dialThrough(relay, ours, other)
    const stream = await begin(other, ours)
    stream.send(Uint8Array.of(2, 0xff, 0xff))
    await expect.poll(() => stream.status, { timeout: 5000 }).not.toBe('open')
    expect(looking.findings.some((each) => each.kind === 'notice')).toBe(true)
  })

  it('and never begins is not waited for longer than fifteen seconds', async () => {
    const { relay, ours, other } = await trio()
    const clock = virtualClock()
    const looking = search(ours, {}, clock)
    await dialThrough(relay, ours, other)
    await looking.news('relayed')
    await expect
      .poll(async () => (await clock.advance(1000), clock.monotonicMs() >= 16_000), { timeout: 8000 })
      .toBe(true)
    expect(await looking.news('failed')).toMatchObject({ cause: 'timeout' })
  })
})

describe('rounds', () => {
  it('are not begun on a connection that no relay is in', async () => {
    const { ours, other, relay } = await trio()
    search(ours)
    await expect.poll(() => ours.components.registrar.getProtocols()).toContain(dcutrProtocol)
    const connection: Connection = await ours.libp2p.dial(multiaddr(relay.address))
    const there = relay.libp2p.getConnections(ours.libp2p.peerId)[0]
    const stream = await there?.newStream(dcutrProtocol)
    await expect.poll(() => stream?.status, { timeout: 5000 }).not.toBe('open')
    expect([connection.status, other.libp2p.getConnections(ours.libp2p.peerId)]).toEqual(['open', []])
  })

  it('take messages of 4 KiB, and no larger ones', () => expect(mostBytes).toBe(4096))
})

describe('bounds', () => {
  it('hold for peers at the same time', async () => {
    const { relay, ours, other } = await trio()
    const third = await trio()
    await answering(other, () => undefined)
    await answering(third.other, () => undefined)
    const looking = search(ours, { mostPeers: 1 })
    await dialThrough(relay, other, ours)
    await looking.news('relayed')
    await dialThrough(relay, third.other, ours)
    const puncher = await looking.puncher()
    await expect(puncher.upgrade(third.other.id, new AbortController())).rejects.toMatchObject({
      code: 'QUOTA_EXCEEDED'
    })
  })
})

describe('the end of the search', () => {
  it('leaves no handler, no stream and no socket, whatever was under way', async () => {
    const { relay, ours, other } = await trio()
    await answering(other, () => undefined)
    const looking = search(ours)
    await dialThrough(relay, other, ours)
    await looking.news('punching')
    await looking.stop()
    expect(ours.components.registrar.getProtocols()).not.toContain(dcutrProtocol)
    const streams = ours.libp2p.getConnections().flatMap(({ streams: all }) => all.map(({ protocol }) => protocol))
    expect(streams).not.toContain(dcutrProtocol)
    await expect.poll(() => ours.libp2p.getConnections(relay.libp2p.peerId).length, { timeout: 5000 }).toBe(1)
  })

  it('ends an upgrade that somebody waits for, and so does his own signal', async () => {
    const { relay, ours, other } = await trio()
    await answering(other, () => undefined)
    const looking = search(ours)
    const puncher = await looking.puncher()
    await dialThrough(relay, other, ours)
    await looking.news('relayed')
    const cut = new AbortController()
    const own = puncher.upgrade(other.id, cut)
    const reason = new Error('enough')
    cut.abort(reason)
    await expect(own).rejects.toBe(reason)
    const waiting = Promise.allSettled([puncher.upgrade(other.id, new AbortController())])
    await looking.stop()
    expect(await waiting).toMatchObject([{ status: 'rejected' }])
  })
})

describe('an upgrade', () => {
  it('is the direct connection that there is', async () => {
    const { relay, ours } = await trio()
    const looking = search(ours)
    const puncher = await looking.puncher()
    expect(await puncher.upgrade(relay.id, new AbortController())).toBe(relay.address)
  })

  it('of a peer that is not connected is refused', async () => {
    const { ours, other } = await trio()
    const puncher = await search(ours).puncher()
    await expect(puncher.upgrade(other.id, new AbortController())).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })

  it('says why there is no direct connection', async () => {
    const { relay, ours, other } = await trio()
    const looking = search(ours)
    const puncher = await looking.puncher()
    await dialThrough(relay, other, ours)
    await expect(puncher.upgrade(other.id, new AbortController())).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})

describe('a direct connection', () => {
  it('that ends beside a relayed one is looked for again', async () => {
    const { relay, ours, other } = await trio()
    const looking = search(ours)
    await looking.puncher()
    const direct = await dialDirectly(ours, other)
    await dialThrough(relay, other, ours)
    await expect.poll(() => ours.libp2p.getConnections(other.libp2p.peerId).length).toBe(2)
    expect(looking.findings.filter(({ kind }) => kind === 'notice')).toEqual([])
    direct.abort(new Error('the network is another one'))
    expect(await looking.news('relayed')).toMatchObject({ peer: other.id })
  })

  it('that comes about after a failure is news, and the relay is let go', async () => {
    const { relay, ours, other } = await trio()
    const looking = search(ours, { graceMs: 0 })
    await looking.puncher()
    await dialThrough(relay, other, ours)
    await looking.news('failed')
    await dialDirectly(ours, other)
    expect(await looking.news('direct')).toMatchObject({ peer: other.id })
    await expect.poll(() => ours.libp2p.getConnections(other.libp2p.peerId).length, { timeout: 10_000 }).toBe(1)
  })
})

describe('another service for the protocol', () => {
  it('of @libp2p/dcutr is stopped, which is said: it begins no rounds of its own', async () => {
    const { ours, relay, other } = await trio({ ours: { anyName: dcutr() } })
    const { registrar } = ours.components
    expect(registrar.getTopologies(dcutrProtocol)).toHaveLength(1)
    const asked = await answering(other, (stream) => stream.abort(new Error('no')))
    const looking = search(ours)
    await looking.puncher()
    expect(looking.lines.join()).toContain('@libp2p/dcutr')
    expect(registrar.getTopologies(dcutrProtocol)).toEqual([])
    expect(registrar.getProtocols()).toContain(dcutrProtocol)
    await dialThrough(relay, other, ours)
    await looking.news('failed')
    // Ours, and no others.
    expect(asked()).toBe(3)
  })

  it('of anybody else is replaced, which is said', async () => {
    const { ours } = await trio()
    await ours.libp2p.handle(dcutrProtocol, () => undefined)
    const looking = search(ours)
    await looking.puncher()
    expect(looking.lines.join()).toContain('another service')
  })
})
