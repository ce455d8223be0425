import type { Connection, MultiaddrConnection } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import type { Witness } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { protocolV1 } from '../../src/wire/v1.js'
import { dialRequestProtocol } from '../../src/wire/v2.js'
import { type WatchedClock, watchedClock } from '../support/fakes.js'
import { call, goAgent, isGone, type Node, search, startNode } from '../support/nodes.js'

interface Talk {
  readonly connection: Connection
  readonly say: (bytes: Uint8Array) => Promise<void>
  readonly dial: (address: string) => Promise<void>
  /** Closes the stream and waits until the other end closes it. */
  readonly end: () => Promise<void>
}

/** A libp2p connection with the raw connection below it. */
interface Layered {
  readonly maConn: MultiaddrConnection
}

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
/** A `DIAL_RESPONSE` that has only a status. */
const yes = hex('0801 1a02 0800')

async function startV1(answer: (talk: Talk) => Promise<void>, options: object = {}): Promise<Node> {
  const node = await startNode({ agent: goAgent, ...options })
  await node.libp2p.handle(protocolV1, async (stream, connection) => {
    const messages = lpStream(stream)
    await messages.read()
    await answer({
      connection,
      async end() {
        const closed = new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }))
        await stream.close()
        await closed
      },
      say: async (bytes) => messages.write(bytes),
      dial: async (address) => {
        const target = multiaddr(`${address}/p2p/${connection.remotePeer.toString()}`)
        const dialled = await node.components.connectionManager.openConnection(target, { force: true })
        await dialled.close()
      }
    })
    await stream.close().catch(() => undefined)
  })
  return node
}

async function scene(answer: (talk: Talk) => Promise<void>): Promise<{
  readonly node: Node
  readonly time: WatchedClock
  readonly verify: (address?: string) => Promise<string>
}> {
  const time = watchedClock()
  const server = await startV1(answer)
  const node = await startNode()
  await node.libp2p.dial(server.libp2p.getMultiaddrs())
  const witness = await search(node.components, {}, time.clock).witness()
  return {
    node,
    time,
    async verify(address = node.plain) {
      const { outcome, reason } = await witness.verify(address as `/${string}`, call())
      return [outcome, ...(reason ? [reason.code] : [])].join(' ')
    }
  }
}

describe('a server of version 1', () => {
  it('a positive answer with a connection from the server makes an address reachable', async () => {
    const { verify, node, time } = await scene(async ({ dial, say }) => {
      await dial(node.plain)
      await say(yes)
    })
    expect(await verify()).toBe('reachable')
    expect(time.pending()).toBe(0)
  })

  it('a positive answer without a connection proves nothing', async () => {
    const { verify, time } = await scene(async ({ say }) => say(yes))
    const pending = verify()
    await time.asked(1_000)
    await time.advance(1_000)
    expect(await pending).toBe('inconclusive WITNESS_UNPROVEN')
    expect(time.pending()).toBe(0)
  })

  it('a positive answer for another address proves nothing', async () => {
    const other = multiaddr('/ip4/127.0.0.1/tcp/9').bytes
    const { verify, node } = await scene(async ({ dial, say }) => {
      await dial(node.plain)
      await say(Uint8Array.of(8, 1, 26, 4 + other.length, 8, 0, 26, other.length, ...other))
    })
    expect(await verify()).toBe('inconclusive WITNESS_UNPROVEN')
  })

  it('a positive answer with a connection over another transport proves nothing', async () => {
    const { verify, node, time } = await scene(async ({ dial, say }) => {
      await dial(node.plain)
      await say(yes)
    })
    const pending = verify(`${node.plain}/ws`)
    await time.asked(1_000)
    await time.advance(1_000)
    expect(await pending).toBe('inconclusive WITNESS_UNPROVEN')
  })

  it.each([
    ['E_DIAL_ERROR', '0801 1a02 0864', 'WITNESS_UNPROVEN'],
    ['E_DIAL_REFUSED', '0801 1a02 0865', 'WITNESS_UNPROVEN'],
    ['nonsense', 'ffff', 'MALFORMED_REPLY']
  ])('the answer %s proves nothing', async (_, bytes, code) => {
    const { verify } = await scene(async ({ say }) => say(hex(bytes)))
    expect(await verify()).toBe(`inconclusive ${code}`)
  })

  it('a closed stream and silence prove nothing', async () => {
    let count = 0
    const { verify, time } = await scene(async () => {
      count += 1
      if (count === 2) await new Promise(() => undefined)
    })
    expect(await verify()).toBe('inconclusive NO_REPLY')
    const pending = verify()
    await time.asked(15_000)
    await time.advance(15_000)
    expect(await pending).toBe('inconclusive NO_REPLY')
    expect(time.pending()).toBe(0)
  })

  it('a server that speaks both versions is asked by version 2', async () => {
    let asked = 0
    const server = await startV1(async () => undefined)
    await server.libp2p.handle(dialRequestProtocol, async (stream) => {
      asked += 1
      await stream.close()
    })
    const node = await startNode()
    await node.libp2p.dial(server.libp2p.getMultiaddrs())
    const witness = await search(node.components).witness()
    await witness.verify(node.plain, call())
    expect(asked).toBe(1)
  })
})

describe('a version 1 server that closes the connection when asked', () => {
  const once = async (node: Node, type: 'peer:identify' | 'connection:close'): Promise<void> =>
    new Promise((resolve) => {
      node.libp2p.addEventListener(type, () => resolve(), { once: true })
    })

  it.each([
    ['js-libp2p', undefined],
    ['an application on js-libp2p', 'our-app/1.0.0 node/24.21.0'],
    ['Helia in a browser', 'helia/7.1.15 js-libp2p/3.3.11 browser/Mozilla/5.0'],
    ['an application on js-libp2p 1', 'our-app/1.0.0 UserAgent=v20.1.0']
  ])('a version 1 server is not asked if its agent is %s', async (_, agent) => {
    const [node, other] = await Promise.all([startNode(), startV1(async () => undefined)])
    const closer = await startV1(async () => undefined, { agent })
    const looking = search(node.components)
    const identified = once(node, 'peer:identify')
    await node.libp2p.dial(closer.libp2p.getMultiaddrs())
    await identified
    await node.libp2p.dial(other.libp2p.getMultiaddrs())
    await looking.witness(other.id)
    expect(looking.witnesses()).toHaveLength(1)
  })

  it.each([
    ['immediately', async ({ connection }: Talk) => connection.close()],
    ['after its stream', async ({ connection, end }: Talk) => end().then(() => connection.close())],
    ['below its streams', async ({ connection }: Talk) => (connection as unknown as Layered).maConn.close()]
  ])('a version 1 server that closes the connection %s is not asked again', async (_, close) => {
    const [node, closer] = await Promise.all([startNode(), startV1(close)])
    const looking = search(node.components)
    await node.libp2p.dial(closer.libp2p.getMultiaddrs())
    const witness = await looking.witness()
    expect(await witness.verify(node.plain, call())).toMatchObject({ outcome: 'inconclusive' })
    await looking.finding(isGone)
    const identified = once(node, 'peer:identify')
    await node.libp2p.dial(closer.libp2p.getMultiaddrs())
    await identified
    expect(looking.witnesses()).toHaveLength(1)
  })

  it.each([
    ['is lost', async ({ connection }: Talk) => connection.abort(new Error('the line is cut'))],
    [
      'is closed after the answer',
      async ({ connection, say, end }: Talk) => {
        await say(hex('0801 1a02 0864'))
        await end()
        await connection.close()
      }
    ]
  ])('a version 1 server is asked again if the connection %s', async (_, answer) => {
    const [node, server] = await Promise.all([startNode(), startV1(answer)])
    const looking = search(node.components)
    await node.libp2p.dial(server.libp2p.getMultiaddrs())
    const witness = await looking.witness()
    await witness.verify(node.plain, call())
    await looking.finding(isGone)
    await node.libp2p.dial(server.libp2p.getMultiaddrs())
    await looking.finding((each): each is Witness => each.kind === 'witness' && each !== witness)
  })
})
