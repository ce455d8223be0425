import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it, vi } from 'vitest'
import { boundMessages, carriesBytes, createRequestBounds } from '../src/index.js'

class Ends extends EventTarget {
  status = 'open'
  readonly remoteAddr = multiaddr('/ip4/11.0.0.1/tcp/4001')
  readonly remotePeer = 'peer'
  end(status = 'reset'): void {
    this.status = status
    this.dispatchEvent(new Event('close'))
  }
}

class TestStream extends Ends {
  protocol: string
  received = 0
  constructor(protocol = '/libp2p/circuit/relay/0.2.0/hop') {
    super()
    this.protocol = protocol
  }
  onData({ byteLength }: { readonly byteLength: number }): void {
    if (this.status === 'open') this.received += byteLength
  }
  abort(): void {
    this.end('aborted')
  }
}

const asStream = (stream: TestStream): Stream => stream as unknown as Stream
const asConnection = (connection: Ends): Connection => connection as unknown as Connection

describe('places of requests', () => {
  const scene = () => {
    const bounds = createRequestBounds({ total: 2 })
    const connection = new Ends()
    return {
      bounds,
      connection,
      enter: (stream: TestStream) => bounds.enter(asStream(stream), asConnection(connection))
    }
  }

  it('a stream that was reset before its handler is called takes no place', () => {
    const { bounds, enter } = scene()
    const stream = new TestStream()
    stream.end()
    expect(enter(stream)).toBe(false)
    expect(bounds.used).toBe(0)
  })

  it.each([
    ['the stream ends', (stream: TestStream) => stream.end()],
    ['the connection ends, and the stream says nothing', (_: TestStream, connection: Ends) => connection.end()]
  ])('the place of a request is given back when %s', (_, end) => {
    const { bounds, connection, enter } = scene()
    const stream = new TestStream()
    expect([enter(stream), enter(new TestStream()), enter(new TestStream())]).toEqual([true, true, false])
    end(stream, connection)
    expect(bounds.used).toBeLessThan(2)
  })

  it('the place of a request is given back when the stream carries a connection', () => {
    const { bounds, enter } = scene()
    const stream = new TestStream()
    enter(stream)
    bounds.carries(asStream(stream))
    expect(bounds.used).toBe(0)
  })
})

describe('what a peer sends on a stream', () => {
  const send = (stream: TestStream, byteLength: number): string => {
    stream.onData({ byteLength })
    return stream.status
  }
  const bounded = (protocol: string): TestStream => {
    const stream = new TestStream(protocol)
    boundMessages(asStream(stream))
    boundMessages(asStream(stream))
    return stream
  }

  it.each([
    ['', 65_536],
    ['/libp2p/circuit/relay/0.2.0/hop', 16_384],
    ['/libp2p/circuit/relay/0.2.0/stop', 16_384],
    ['/ipfs/id/1.0.0', 98_304],
    ['/ipfs/id/push/1.0.0', 98_304],
    ['/libp2p/dcutr', 65_536]
  ])('boundMessages limits the protocol %j to %i bytes', (protocol, most) => {
    const stream = bounded(protocol)
    expect([send(stream, most), send(stream, 1)]).toEqual(['open', 'aborted'])
    expect(stream.received).toBe(most)
  })

  it('boundMessages does not limit other protocols', () => {
    expect(send(bounded('/ipfs/ping/1.0.0'), 10_000_000)).toBe('open')
  })

  it('boundMessages counts data before the protocol is negotiated', () => {
    const stream = bounded('')
    expect(send(stream, 20_000)).toBe('open')
    stream.protocol = '/libp2p/circuit/relay/0.2.0/stop'
    expect(stream.status).toBe('aborted')
  })

  it('boundMessages does not limit a stream that carries a connection', () => {
    const stream = bounded('/libp2p/circuit/relay/0.2.0/stop')
    carriesBytes(asStream(stream))
    expect(send(stream, 10_000_000)).toBe('open')
  })

  it('carriesBytes lifts the limit that another copy of the package has set', async () => {
    vi.resetModules()
    const copy = await import('../src/index.js')
    expect(copy.boundMessages).not.toBe(boundMessages)
    const stream = bounded('/libp2p/circuit/relay/0.2.0/stop')
    copy.boundMessages(asStream(stream))
    copy.carriesBytes(asStream(stream))
    expect(send(stream, 10_000_000)).toBe('open')
  })
})
