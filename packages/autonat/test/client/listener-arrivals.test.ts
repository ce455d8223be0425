import { lpStream } from '@libp2p/utils'
import { type Arrival, type Evidence, natError } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import type { AutonatHost } from '../../src/index.js'
import { protocolV1 } from '../../src/wire/v1.js'
import { dialError, ok, startFake, type Talk, watchedClock } from '../support/fakes.js'
import { call, goAgent, type Node, search, startNode } from '../support/nodes.js'
import { told } from './scene.js'

type Arrivals = NonNullable<AutonatHost['arrivals']>

/** The address of a plain listener, which is not the one that the server is at. */
const address = '/ip4/127.0.0.2/tcp/8080'

/** A plain listener, at which the test says what arrives. */
function listener(): {
  readonly arrivals: Arrivals
  readonly arrive: (from: string) => void
  readonly open: () => number
} {
  const hearers = new Set<(arrival: Arrival) => void>()
  return {
    arrivals(at, each, { signal }) {
      expect(at).toEqual({ protocol: 'tcp' })
      hearers.add(each)
      signal.addEventListener('abort', () => hearers.delete(each))
    },
    arrive(from) {
      const place = { remotePort: 40_000, localAddress: '192.168.1.2', localPort: 8080 }
      for (const each of hearers) each({ protocol: 'tcp', remoteAddress: from, ...place, recognize: () => undefined })
    },
    open: () => hearers.size
  }
}

/** A node that listens nowhere and is connected to a server. */
async function ask(
  server: Node,
  { arrivals }: { readonly arrivals: Arrivals },
  about: string = address
): Promise<{ readonly evidence: Promise<Evidence>; readonly time: ReturnType<typeof watchedClock> }> {
  const time = watchedClock()
  const node = await startNode()
  const looking = search(node.components, {}, time.clock, { arrivals })
  await node.libp2p.dial(server.libp2p.getMultiaddrs())
  const witness = await looking.witness()
  return { evidence: witness.verify(about as `/${string}`, call()), time }
}

describe('a listener that does not speak libp2p', () => {
  it.each([
    ['a failed dial', dialError],
    ['a failed dial back', { ...ok, dialStatus: 101 }],
    ['success', ok]
  ])('a fresh connection from the witness proves it, although the witness reports %s', async (_, message) => {
    const plain = listener()
    const server = await startFake(async ({ say }: Talk) => {
      plain.arrive('127.0.0.1')
      await say(message)
    })
    const { evidence } = await ask(server, plain)
    expect(told(await evidence)).toBe('reachable')
    expect(plain.open()).toBe(0)
  })

  it('a witness that claims success without a connection proves nothing', async () => {
    const plain = listener()
    const { evidence, time } = await ask(await startFake(async ({ say }) => say(ok)), plain)
    await time.asked(1_000)
    await time.advance(1_000)
    expect(told(await evidence)).toBe('inconclusive WITNESS_UNPROVEN')
    expect(time.pending()).toBe(0)
  })

  it('a failed dial without a connection is a no', async () => {
    const plain = listener()
    const { evidence, time } = await ask(await startFake(async ({ say }) => say(dialError)), plain)
    await time.asked(100)
    await time.advance(100)
    expect(told(await evidence)).toBe('unreachable')
    expect(time.pending()).toBe(0)
  })

  it.each([
    ['another host', '127.0.0.9'],
    ['the external address itself (hairpin)', '127.0.0.2'],
    ['the local network', '192.168.1.1']
  ])('a connection from %s is no proof, and makes a no doubtful', async (_, from) => {
    const plain = listener()
    const server = await startFake(async ({ say }) => {
      plain.arrive(from)
      await say(dialError)
    })
    const { evidence, time } = await ask(server, plain)
    await time.asked(100)
    await time.advance(100)
    const { outcome, reason } = await evidence
    expect([outcome, reason?.message]).toEqual(['inconclusive', expect.stringContaining(from)])
  })

  it('a connection from a peer at the external address itself is no proof: the router may have returned it', async () => {
    const plain = listener()
    const server = await startFake(async ({ say }) => {
      plain.arrive('127.0.0.1')
      await say(ok)
    })
    const { evidence, time } = await ask(server, plain, '/ip4/127.0.0.1/tcp/8080')
    await time.asked(1_000)
    await time.advance(1_000)
    expect(told(await evidence)).toBe('inconclusive WITNESS_UNPROVEN')
  })

  it('a connection before the question is no proof', async () => {
    const plain = listener()
    plain.arrive('127.0.0.1')
    const { evidence, time } = await ask(await startFake(async ({ say }) => say(dialError)), plain)
    await time.asked(100)
    await time.advance(100)
    expect(told(await evidence)).toBe('unreachable')
  })

  it('a witness that sends no response after its connection is waited for only for a moment', async () => {
    const plain = listener()
    const server = await startFake(async () => {
      plain.arrive('127.0.0.1')
      await new Promise(() => undefined)
    })
    const { evidence, time } = await ask(server, plain)
    await time.asked(1_000)
    await time.advance(1_000)
    expect(told(await evidence)).toBe('reachable')
  })

  it.each([
    ['another family', '/ip6/::2/tcp/8080'],
    ['UDP', '/ip4/127.0.0.2/udp/8080'],
    ['WebSocket', '/ip4/127.0.0.2/tcp/8080/ws']
  ])('a witness is not asked about an address over %s', async (_, about) => {
    let asked = 0
    const server = await startFake(async ({ say }) => {
      asked += 1
      await say(ok)
    })
    const { evidence } = await ask(server, listener(), about)
    expect(told(await evidence)).toBe('inconclusive WITNESS_UNPROVEN')
    expect(asked).toBe(0)
  })

  it('a witness says in which family it can be asked', async () => {
    const [server, node] = await Promise.all([startFake(async () => undefined), startNode()])
    const looking = search(node.components, {}, watchedClock().clock, listener())
    await node.libp2p.dial(server.libp2p.getMultiaddrs())
    expect((await looking.witness()).family).toBe(4)
  })

  it('a host that cannot see connections at present proves nothing, and the witness stays one', async () => {
    const arrivals: Arrivals = () => {
      throw natError('UNSUPPORTED', 'this system shows no connections')
    }
    const { evidence } = await ask(await startFake(async ({ say }) => say(ok)), { arrivals })
    expect(told(await evidence)).toBe('inconclusive WITNESS_UNPROVEN')
  })
})

describe('a listener that does not speak libp2p, and a server of version 1', () => {
  /** A server of version 1 that reports a failed dial. */
  async function startV1(
    dialled: () => void | Promise<void>,
    listen: readonly string[] = ['/ip4/127.0.0.1/tcp/0']
  ): Promise<Node> {
    const node = await startNode({ agent: goAgent, listen })
    await node.libp2p.handle(protocolV1, async (stream) => {
      const messages = lpStream(stream)
      await messages.read()
      await dialled()
      await messages.write(Uint8Array.from(Buffer.from('08011a020864', 'hex')))
      await stream.close()
    })
    return node
  }

  it.skipIf(process.platform !== 'linux')(
    'a connection is proof before the answer, which some servers delay (skipped except on Linux)',
    async () => {
      const plain = listener()
      const server = await startV1(async () => {
        plain.arrive('127.0.0.3')
        await new Promise(() => undefined)
      }, ['/ip4/127.0.0.3/tcp/0'])
      const { evidence } = await ask(server, plain, '/ip4/127.0.0.1/tcp/8080')
      expect(told(await evidence)).toBe('reachable')
    }
  )

  // Other systems have one address on loopback only, and the server needs another one than the node.
  it.skipIf(process.platform !== 'linux')(
    'a fresh connection proves the IP address at which the server sees this node (skipped except on Linux)',
    async () => {
      const plain = listener()
      const server = await startV1(() => plain.arrive('127.0.0.3'), ['/ip4/127.0.0.3/tcp/0'])
      const { evidence } = await ask(server, plain, '/ip4/127.0.0.1/tcp/8080')
      expect(told(await evidence)).toBe('reachable')
    }
  )

  it('a fresh connection does not prove another IP address, which the server may not have dialled', async () => {
    let asked = 0
    const plain = listener()
    const server = await startV1(() => {
      asked += 1
      plain.arrive('127.0.0.1')
    })
    const { evidence } = await ask(server, plain)
    expect(told(await evidence)).toBe('inconclusive WITNESS_UNPROVEN')
    expect(asked).toBe(0)
  })
})
