import { dcutr } from '@libp2p/dcutr'
import type { Connection, Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { dcutrProtocol, encodeMessage, maxBytes } from '../src/dcutr/codec.js'
import { type Connect, systemConnect } from '../src/dial/tcp-dial.js'
import { dialDirectly, dialThrough, type Node, search, trio } from './nodes.js'

const connectTo = (...addresses: readonly string[]): Uint8Array =>
  encodeMessage({ kind: 'connect', addresses: addresses.map((each) => multiaddr(each).bytes) })
const sync = encodeMessage({ kind: 'sync' })

/** Answers our rounds with this function. Returns a function that counts the rounds. */
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

/** Records the destinations of sockets. */
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

describe('a peer that connects through the relay', () => {
  it('a peer that does not speak the protocol fails immediately for that reason', async () => {
    const { relay, ours, other } = await trio()
    const looking = search(ours)
    await dialThrough(relay, other, ours)
    expect(await looking.news('failed')).toMatchObject({ peer: other.id, cause: 'unsupported' })
  })

  it.each([
    ['sends invalid bytes', (stream: Stream) => void stream.send(Uint8Array.of(3, 255, 255, 255))],
    ['sends an oversized message', (stream: Stream) => void stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff))],
    ['sends SYNC instead of CONNECT', async (stream: Stream) => lpStream(stream).write(sync)],
    ['resets every stream', (stream: Stream) => stream.abort(new Error('no'))],
    ['closes every stream', async (stream: Stream) => stream.close()]
  ])('a peer that %s is given up after three rounds', async (_, answer) => {
    const { relay, ours, other } = await trio()
    const asked = await answering(other, answer)
    const looking = search(ours)
    await dialThrough(relay, other, ours)
    expect(await looking.news('failed')).toMatchObject({ cause: 'timeout' })
    expect(asked()).toBe(3)
  })

  it('a peer that never answers fails after ten seconds and leaves nothing behind', async () => {
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
    ['private and loopback addresses', ['/ip4/192.168.1.1/tcp/80', '/ip4/127.0.0.1/tcp/22', '/ip6/::1/tcp/22']],
    ['addresses with a second destination', ['/ip4/11.0.0.1/tcp/443/tls/sni/127.0.0.1/ws', '/dns4/localhost/tcp/22']],
    ['none', []]
  ])('a peer that sends only %s causes no dial', async (_, addresses) => {
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
    // Only the relay was dialled, as the observer of the ports.
    expect(new Set(ports)).toEqual(new Set([portOf(relay)]))
  })
})

describe('a peer that is dialled through the relay', () => {
  const begin = async (from: Node, to: Node): Promise<Stream> => {
    const connection = from.libp2p.getConnections(to.libp2p.peerId)[0]
    if (connection === undefined) throw new Error('not connected')
    return connection.newStream(dcutrProtocol, { runOnLimitedConnection: true })
  }

  it('concurrent rounds of one peer are refused', async () => {
    const { relay, ours, other } = await trio()
    search(ours)
    await dialThrough(relay, ours, other)
    const opened = await Promise.allSettled(Array.from({ length: 40 }, async () => begin(other, ours)))
    const streams = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    await expect.poll(() => streams.filter(({ status }) => status === 'open').length, { timeout: 5000 }).toBeLessThan(3)
  })

  it('a round that begins with invalid bytes is not answered', async () => {
    const { relay, ours, other } = await trio()
    const looking = search(ours)
    await dialThrough(relay, ours, other)
    const stream = await begin(other, ours)
    stream.send(Uint8Array.of(2, 0xff, 0xff))
    await expect.poll(() => stream.status, { timeout: 5000 }).not.toBe('open')
    expect(looking.findings.some((each) => each.kind === 'notice')).toBe(true)
  })

  it('a peer that never begins a round is given up after fifteen seconds', async () => {
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
  it('a round on a direct connection is refused', async () => {
    const { ours, other, relay } = await trio()
    search(ours)
    await expect.poll(() => ours.components.registrar.getProtocols()).toContain(dcutrProtocol)
    const connection: Connection = await ours.libp2p.dial(multiaddr(relay.address))
    const there = relay.libp2p.getConnections(ours.libp2p.peerId)[0]
    const stream = await there?.newStream(dcutrProtocol)
    await expect.poll(() => stream?.status, { timeout: 5000 }).not.toBe('open')
    expect([connection.status, other.libp2p.getConnections(ours.libp2p.peerId)]).toEqual(['open', []])
  })

  it('a message of a round has at most 4 KiB', () => expect(maxBytes).toBe(4096))
})

describe('the limit of concurrent punches', () => {
  it('upgrade rejects with QUOTA_EXCEEDED beyond the limit of concurrent punches', async () => {
    const { relay, ours, other } = await trio()
    const third = await trio()
    await answering(other, () => undefined)
    await answering(third.other, () => undefined)
    const looking = search(ours, { maxPeers: 1 })
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
  it('the end of the search leaves no handler, stream or socket, even during a round', async () => {
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

  it("an upgrade ends with the search and with the caller's signal", async () => {
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
  it('upgrade resolves with an existing direct connection', async () => {
    const { relay, ours } = await trio()
    const looking = search(ours)
    const puncher = await looking.puncher()
    expect(await puncher.upgrade(relay.id, new AbortController())).toBe(relay.address)
  })

  it('upgrade of a peer that is not connected rejects', async () => {
    const { ours, other } = await trio()
    const puncher = await search(ours).puncher()
    await expect(puncher.upgrade(other.id, new AbortController())).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })

  it('upgrade rejects with the reason why there is no direct connection', async () => {
    const { relay, ours, other } = await trio()
    const looking = search(ours)
    const puncher = await looking.puncher()
    await dialThrough(relay, other, ours)
    await expect(puncher.upgrade(other.id, new AbortController())).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})

describe('a direct connection', () => {
  it('a punch starts when a direct connection ends and a relayed one is left', async () => {
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

  it('a direct connection after a failure is reported, and the relayed one is closed', async () => {
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
  it('@libp2p/dcutr is stopped with a log line and begins no rounds', async () => {
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
    // Only our three rounds.
    expect(asked()).toBe(3)
  })

  it('another handler is replaced with a log line', async () => {
    const { ours } = await trio()
    await ours.libp2p.handle(dcutrProtocol, () => undefined)
    const looking = search(ours)
    await looking.puncher()
    expect(looking.lines.join()).toContain('another service')
  })
})
