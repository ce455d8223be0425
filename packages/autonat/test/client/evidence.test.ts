import type { Connection } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { describe, expect, it } from 'vitest'
import { dialBackProtocol } from '../../src/wire/v2.js'
import { dialError, ok, type Talk } from '../support/fakes.js'
import { type Node, startNode } from '../support/nodes.js'
import { scene, told } from './scene.js'

describe('evidence of a reachable address', () => {
  it('the nonce over a new connection and OK make an address reachable', async () => {
    const { verify, time, streams } = await scene(async ({ dialBack, say }) => {
      await dialBack()
      await say(ok)
    })
    expect(await verify()).toEqual({ outcome: 'reachable' })
    expect(time.pending()).toBe(0)
    expect(streams()).toBe(0)
  })

  it('the nonce makes an address reachable, whatever the server reports afterwards', async () => {
    const { verify } = await scene(async ({ dialBack, say }) => {
      await dialBack()
      await say(dialError)
    })
    expect(told(await verify())).toBe('reachable')
  })

  it('the nonce makes an address reachable although the server sends no response', async () => {
    const { verify, time, streams } = await scene(async ({ dialBack, hear }) => {
      await dialBack()
      await hear()
    })
    const pending = verify()
    await time.asked(1_000)
    await time.advance(1_000)
    expect(told(await pending)).toBe('reachable')
    expect(time.pending()).toBe(0)
    expect(streams()).toBe(0)
  })

  it('the nonce from another peer than the server makes an address reachable', async () => {
    const dialer = await startNode()
    const { verify } = await scene(async ({ dialBack, say }) => {
      await dialBack({ from: dialer })
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
  })

  it('a nonce that arrives shortly after OK makes an address reachable', async () => {
    const { verify, time } = await scene(async ({ dialBack, say, stream }) => {
      await say(ok)
      await stream.close()
      await time.asked(1_000)
      await dialBack()
    })
    expect(told(await verify())).toBe('reachable')
  })

  it('the nonce over a second connection makes an address reachable after the first proved nothing', async () => {
    const { verify } = await scene(async ({ bring, connection, dialBack, say }) => {
      await expect(bring(connection)).rejects.toThrow(/reset|EOF/i)
      await dialBack()
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
  })
})

describe('evidence of an unreachable address', () => {
  it('a response with a dial error makes an address unreachable', async () => {
    const { verify, time } = await scene(async ({ say }) => say(dialError))
    expect(await verify()).toEqual({ outcome: 'unreachable' })
    expect(time.pending()).toBe(0)
  })
})

describe('inconclusive evidence', () => {
  const answers: readonly (readonly [string, string, (talk: Talk) => Promise<void>])[] = [
    ['E_DIAL_BACK_ERROR', 'WITNESS_UNPROVEN', async ({ say }) => say({ ...ok, dialStatus: 101 })],
    ['E_REQUEST_REJECTED', 'WITNESS_REFUSED', async ({ say }) => say({ ...ok, status: 100 })],
    ['E_DIAL_REFUSED', 'WITNESS_REFUSED', async ({ say }) => say({ ...ok, status: 101 })],
    ['E_INTERNAL_ERROR', 'WITNESS_REFUSED', async ({ say }) => say({ ...ok, status: 0 })],
    ['a status that the spec does not define', 'MALFORMED_REPLY', async ({ say }) => say({ ...ok, status: 201 })],
    [
      'a dial status that the spec does not define',
      'MALFORMED_REPLY',
      async ({ say }) => say({ ...ok, dialStatus: 201 })
    ],
    ['OK without a dial', 'MALFORMED_REPLY', async ({ say }) => say({ ...ok, dialStatus: 0 })],
    ['a dial error for another address index', 'MALFORMED_REPLY', async ({ say }) => say({ ...dialError, index: 1 })],
    [
      'a data request for another address index',
      'MALFORMED_REPLY',
      async ({ say }) => say({ kind: 'dial-data-request', index: 1, bytes: 9n })
    ],
    [
      'a request for 10 MB of dial data',
      'WITNESS_REFUSED',
      async ({ say }) => say({ kind: 'dial-data-request', index: 0, bytes: 10_000_000n })
    ],
    [
      'a request for 2^64 - 1 bytes of dial data',
      'WITNESS_REFUSED',
      async ({ say }) => say({ kind: 'dial-data-request', index: 0, bytes: 2n ** 64n - 1n })
    ],
    [
      'a second request for dial data',
      'MALFORMED_REPLY',
      async ({ say, hear }) => {
        await say({ kind: 'dial-data-request', index: 0, bytes: 1n })
        await hear()
        await say({ kind: 'dial-data-request', index: 0, bytes: 1n })
      }
    ],
    [
      'a request instead of a response',
      'MALFORMED_REPLY',
      async ({ say }) => say({ kind: 'dial-request', addresses: [], nonce: 1n })
    ],
    ['invalid bytes', 'MALFORMED_REPLY', async ({ sayBytes }) => sayBytes(Uint8Array.of(3, 255, 255, 255))],
    [
      'a message of 1 MB',
      'REPLY_TOO_LARGE',
      async ({ sayBytes, hear }) => {
        await sayBytes(Uint8Array.of(0x80, 0x80, 0x40))
        await hear()
      }
    ],
    [
      'a length prefix without an end',
      'REPLY_TOO_LARGE',
      async ({ sayBytes, hear }) => {
        await sayBytes(new Uint8Array(5_000).fill(0x80))
        await hear()
      }
    ],
    ['a closed stream', 'NO_REPLY', async () => undefined],
    ['half a message and a closed stream', 'NO_REPLY', async ({ sayBytes }) => sayBytes(Uint8Array.of(8, 18))],
    ['a reset stream', 'NO_REPLY', async () => Promise.reject(new Error('reset'))],
    ['a connection that is cut', 'NO_REPLY', async ({ connection }) => connection.abort(new Error('cut'))]
  ]

  it.each(answers)('%s leaves the evidence inconclusive', async (_, code, answer) => {
    const { verify, time, streams } = await scene(answer)
    expect(told(await verify())).toBe(`inconclusive ${code}`)
    expect(time.pending()).toBe(0)
    expect(streams()).toBe(0)
  })

  const lies: readonly (readonly [string, (talk: Talk) => Promise<void>])[] = [
    ['OK without a nonce', async ({ say }) => say(ok)],
    ['OK twice without a nonce', async ({ say }) => say(ok).then(() => say(ok))],
    [
      'OK and another nonce',
      async ({ say, nonce, dialBack }) => {
        await expect(dialBack({ nonce: nonce ^ 1n })).rejects.toThrow(/reset|EOF/i)
        await say(ok)
      }
    ],
    [
      'the nonce over our outbound connection',
      async ({ bring, connection, say }) => {
        await expect(bring(connection)).rejects.toThrow(/reset|EOF/i)
        await say(ok)
      }
    ]
  ]

  it.each(lies)('%s does not prove an address', async (_, answer) => {
    const { verify, time, streams } = await scene(answer)
    const pending = verify()
    await time.asked(1_000)
    await time.advance(1_000)
    expect(told(await pending)).toBe('inconclusive WITNESS_UNPROVEN')
    expect(time.pending()).toBe(0)
    expect(streams()).toBe(0)
  })

  it('the nonce over an existing inbound connection does not prove an address', async () => {
    const { verify, time, node, fake } = await scene(async ({ bring, node: self, say }) => {
      const inbound = self.libp2p.getConnections().find(({ direction }) => direction === 'outbound')
      if (inbound === undefined) throw new Error('not connected both ways')
      await expect(bring(inbound)).rejects.toThrow(/reset|EOF/i)
      await say(ok)
    })
    const { promise: isOpen, resolve } = Promise.withResolvers<unknown>()
    node.libp2p.addEventListener('connection:open', resolve)
    await fake.libp2p.dial(node.libp2p.getMultiaddrs(), { force: true })
    await isOpen
    const pending = verify()
    await time.asked(1_000)
    await time.advance(1_000)
    expect(await pending).toMatchObject({ reason: { message: expect.stringContaining('an existing connection') } })
  })

  it('the nonce over a new outbound connection does not prove an address', async () => {
    const { verify, time, node } = await scene(async ({ bring, connection, node: self, say }) => {
      const { promise, resolve } = Promise.withResolvers<Connection>()
      self.libp2p.addEventListener('connection:open', ({ detail }) => resolve(detail))
      await node.libp2p.dial(self.libp2p.getMultiaddrs(), { force: true })
      const opened = await promise
      expect(opened.id).not.toBe(connection.id)
      await expect(bring(opened)).rejects.toThrow(/reset|EOF/i)
      await say(ok)
    })
    const pending = verify()
    await time.asked(1_000)
    await time.advance(1_000)
    expect(await pending).toMatchObject({
      reason: { message: expect.stringContaining('outbound connection of this node') }
    })
  })

  it.each([
    ['another transport', (node: Node) => `${node.plain}/ws`, 'not tcp/ws'],
    ['another family', (node: Node) => node.plain.replace('/ip4/127.0.0.1', '/ip6/::1'), 'IPv6']
  ])('the nonce over a connection of %s does not prove an address', async (_, ask, message) => {
    const { verify, time, node } = await scene(async ({ dialBack, say }) => {
      await expect(dialBack({ address: node.plain })).rejects.toThrow(/reset|EOF/i)
      await say(ok)
    })
    const pending = verify(ask(node))
    await time.asked(1_000)
    await time.advance(1_000)
    expect(await pending).toMatchObject({ reason: { message: expect.stringContaining(message) } })
  })

  it('silence until the timeout leaves the evidence inconclusive', async () => {
    const { verify, time, streams } = await scene(async ({ hear }) => void (await hear()))
    const pending = verify()
    await time.asked(15_000)
    await time.advance(15_000)
    expect(told(await pending)).toBe('inconclusive NO_REPLY')
    expect(time.pending()).toBe(0)
    expect(streams()).toBe(0)
  })

  it('an answer that drips until the timeout leaves the evidence inconclusive', async () => {
    const { verify, time } = await scene(async ({ sayBytes, hear }) => {
      for (const byte of [8, 18, 6, 8]) await sayBytes(Uint8Array.of(byte))
      await hear()
    })
    const pending = verify()
    await time.asked(15_000)
    await time.advance(15_000)
    expect(told(await pending)).toBe('inconclusive NO_REPLY')
  })

  it('the nonce of an earlier question does not prove an address', async () => {
    const nonces: bigint[] = []
    const { verify, time } = await scene(async ({ nonce, dialBack, say }) => {
      nonces.push(nonce)
      if (nonces.length === 1) await dialBack()
      else await expect(dialBack({ nonce: nonces[0] ?? 0n })).rejects.toThrow(/reset|EOF/i)
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
    const pending = verify()
    await time.asked(1_000)
    await time.advance(1_000)
    expect(told(await pending)).toBe('inconclusive WITNESS_UNPROVEN')
    expect(new Set(nonces).size).toBe(2)
  })
})

describe('a nonce', () => {
  it('a nonce is valid once', async () => {
    const { verify } = await scene(async ({ dialBack, say }) => {
      await dialBack()
      await expect(dialBack()).rejects.toThrow(/reset|EOF/i)
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
  })

  it('an unexpected nonce is rejected and disturbs no later question', async () => {
    const {
      verify,
      fake,
      node,
      search: looking
    } = await scene(async ({ dialBack, say }) => {
      await dialBack()
      await say(ok)
    })
    const connection = await fake.libp2p.dial(node.libp2p.getMultiaddrs(), { force: true })
    const read = async (): Promise<unknown> => lpStream(await connection.newStream(dialBackProtocol)).read()
    await expect(read()).rejects.toThrow(/reset|EOF/i)
    expect(told(await verify())).toBe('reachable')
    expect(looking.witnesses()).toHaveLength(1)
    await looking.stop()
    expect(looking.lines.at(-1)).toBe('autonat: dial backs: 1 proven, 0 foreign, 0 unfit, 1 dropped')
  })

  it('the counters count foreign nonces and nonces that prove nothing', async () => {
    const { verify, search: looking } = await scene(async ({ bring, connection, dialBack, nonce, say }) => {
      await expect(bring(connection)).rejects.toThrow(/reset|EOF/i)
      await expect(dialBack({ nonce: nonce ^ 1n })).rejects.toThrow(/reset|EOF/i)
      await dialBack()
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
    await looking.stop()
    expect(looking.lines.at(-1)).toBe('autonat: dial backs: 1 proven, 1 foreign, 1 unfit, 2 dropped')
  })
})
