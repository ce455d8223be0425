import type { Evidence } from '@postern/interface'
import { lpStream } from '@libp2p/utils'
import { describe, expect, it } from 'vitest'
import { dialBackProtocol, dialRequestProtocol } from '../src/codec.js'
import { dialError, ok, startFake, type Talk, type WatchedClock, watchedClock } from './fakes.js'
import { call, type Node, type Search, search, startNode } from './nodes.js'

interface Scene {
  readonly node: Node
  readonly fake: Node
  readonly time: WatchedClock
  readonly search: Search
  readonly verify: (address?: string, signal?: AbortSignal) => Promise<Evidence>
  /** Streams of AutoNAT that are open at the client. */
  readonly streams: (protocol?: string) => number
}

/** A node, connected to a server that answers so. */
async function scene(answer: (talk: Talk) => Promise<void>, nodeOptions: object = {}): Promise<Scene> {
  const time = watchedClock()
  const fake = await startFake(answer)
  const node = await startNode(nodeOptions)
  await node.libp2p.dial(fake.libp2p.getMultiaddrs())
  const looking = search(node.components, {}, time.clock)
  const witness = await looking.witness()
  return {
    node,
    fake,
    time,
    search: looking,
    verify: async (address = node.plain, signal = call().signal) => witness.verify(address as `/${string}`, { signal }),
    streams: (only) =>
      node.libp2p
        .getConnections()
        .flatMap(({ streams }) => streams)
        .filter(({ protocol }) => (only === undefined ? protocol.startsWith('/libp2p/autonat/') : protocol === only))
        .length
  }
}

const told = ({ outcome, reason }: Evidence): string => [outcome, ...(reason ? [reason.code] : [])].join(' ')

describe('what makes an address reachable', () => {
  it('is the nonce on a new connection, and OK', async () => {
    const { verify, time, streams } = await scene(async ({ dialBack, say }) => {
      await dialBack()
      await say(ok)
    })
    expect(await verify()).toEqual({ outcome: 'reachable' })
    expect(time.pending()).toBe(0)
    expect(streams()).toBe(0)
  })

  it('is the nonce, whatever the server says then', async () => {
    const { verify } = await scene(async ({ dialBack, say }) => {
      await dialBack()
      await say(dialError)
    })
    expect(told(await verify())).toBe('reachable')
  })

  it('is the nonce although the server then says nothing', async () => {
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

  it('is the nonce from another peer than the server', async () => {
    const dialer = await startNode()
    const { verify } = await scene(async ({ dialBack, say }) => {
      await dialBack({ from: dialer })
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
  })

  it('is a nonce that comes a moment after OK', async () => {
    const { verify, time } = await scene(async ({ dialBack, say, stream }) => {
      await say(ok)
      await stream.close()
      await time.asked(1_000)
      await dialBack()
    })
    expect(told(await verify())).toBe('reachable')
  })

  it('is the nonce on a second connection, where the first proved nothing', async () => {
    const { verify } = await scene(async ({ bring, connection, dialBack, say }) => {
      await expect(bring(connection)).rejects.toThrow(/reset|EOF/i)
      await dialBack()
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
  })
})

describe('what makes an address unreachable', () => {
  it('is the response that it could not be dialled', async () => {
    const { verify, time } = await scene(async ({ say }) => say(dialError))
    expect(await verify()).toEqual({ outcome: 'unreachable' })
    expect(time.pending()).toBe(0)
  })
})

describe('what says nothing of an address', () => {
  const answers: readonly (readonly [string, string, (talk: Talk) => Promise<void>])[] = [
    ['E_DIAL_BACK_ERROR', 'WITNESS_UNPROVEN', async ({ say }) => say({ ...ok, dialStatus: 101 })],
    ['E_REQUEST_REJECTED', 'WITNESS_REFUSED', async ({ say }) => say({ ...ok, status: 100 })],
    ['E_DIAL_REFUSED', 'WITNESS_REFUSED', async ({ say }) => say({ ...ok, status: 101 })],
    ['E_INTERNAL_ERROR', 'WITNESS_REFUSED', async ({ say }) => say({ ...ok, status: 0 })],
    ['a status that nobody knows', 'MALFORMED_REPLY', async ({ say }) => say({ ...ok, status: 201 })],
    ['a dial status that nobody knows', 'MALFORMED_REPLY', async ({ say }) => say({ ...ok, dialStatus: 201 })],
    ['OK without a dial', 'MALFORMED_REPLY', async ({ say }) => say({ ...ok, dialStatus: 0 })],
    [
      'an error of an address that was not asked for',
      'MALFORMED_REPLY',
      async ({ say }) => say({ ...dialError, index: 1 })
    ],
    [
      'data for an address that was not asked for',
      'MALFORMED_REPLY',
      async ({ say }) => say({ kind: 'dial-data-request', index: 1, bytes: 9n })
    ],
    [
      '10 MB of dial data',
      'WITNESS_REFUSED',
      async ({ say }) => say({ kind: 'dial-data-request', index: 0, bytes: 10_000_000n })
    ],
    [
      'dial data without end',
      'WITNESS_REFUSED',
      async ({ say }) => say({ kind: 'dial-data-request', index: 0, bytes: 2n ** 64n - 1n })
    ],
    [
      'a request for data, twice',
      'MALFORMED_REPLY',
      async ({ say, hear }) => {
        await say({ kind: 'dial-data-request', index: 0, bytes: 1n })
        await hear()
        await say({ kind: 'dial-data-request', index: 0, bytes: 1n })
      }
    ],
    ['our own request', 'MALFORMED_REPLY', async ({ say }) => say({ kind: 'dial-request', addresses: [], nonce: 1n })],
    ['bytes that are no message', 'MALFORMED_REPLY', async ({ sayBytes }) => sayBytes(Uint8Array.of(3, 255, 255, 255))],
    [
      'a message of 1 MB',
      'REPLY_TOO_LARGE',
      async ({ sayBytes, hear }) => {
        await sayBytes(Uint8Array.of(0x80, 0x80, 0x40))
        await hear()
      }
    ],
    [
      'a length without an end',
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

  it.each(answers)('is %s', async (_, code, answer) => {
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
      'the nonce over the connection that we opened',
      async ({ bring, connection, say }) => {
        await expect(bring(connection)).rejects.toThrow(/reset|EOF/i)
        await say(ok)
      }
    ]
  ]

  it.each(lies)('is %s', async (_, answer) => {
    const { verify, time, streams } = await scene(answer)
    const pending = verify()
    await time.asked(1_000)
    await time.advance(1_000)
    expect(told(await pending)).toBe('inconclusive WITNESS_UNPROVEN')
    expect(time.pending()).toBe(0)
    expect(streams()).toBe(0)
  })

  it('is the nonce over an inbound connection that was there before', async () => {
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
    expect(await pending).toMatchObject({ reason: { message: expect.stringContaining('there before') } })
  })

  it.each([
    ['another transport', (node: Node) => `${node.plain}/ws`, 'not tcp/ws'],
    ['another family', (node: Node) => node.plain.replace('/ip4/127.0.0.1', '/ip6/::1'), 'IPv6']
  ])('is the nonce over a connection of %s', async (_, ask, message) => {
    const { verify, time, node } = await scene(async ({ dialBack, say }) => {
      await expect(dialBack({ address: node.plain })).rejects.toThrow(/reset|EOF/i)
      await say(ok)
    })
    const pending = verify(ask(node))
    await time.asked(1_000)
    await time.advance(1_000)
    expect(await pending).toMatchObject({ reason: { message: expect.stringContaining(message) } })
  })

  it('is silence until the time is over', async () => {
    const { verify, time, streams } = await scene(async ({ hear }) => void (await hear()))
    const pending = verify()
    await time.asked(15_000)
    await time.advance(15_000)
    expect(told(await pending)).toBe('inconclusive NO_REPLY')
    expect(time.pending()).toBe(0)
    expect(streams()).toBe(0)
  })

  it('is an answer that drips until the time is over', async () => {
    const { verify, time } = await scene(async ({ sayBytes, hear }) => {
      for (const byte of [8, 18, 6, 8]) await sayBytes(Uint8Array.of(byte))
      await hear()
    })
    const pending = verify()
    await time.asked(15_000)
    await time.advance(15_000)
    expect(told(await pending)).toBe('inconclusive NO_REPLY')
  })

  it('is the nonce of an earlier question', async () => {
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
  it('is good once', async () => {
    const { verify } = await scene(async ({ dialBack, say }) => {
      await dialBack()
      await expect(dialBack()).rejects.toThrow(/reset|EOF/i)
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
  })

  it('that comes when nobody waits disturbs nobody', async () => {
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
  })
})

describe('dial data', () => {
  it('is sent in messages of 4096 bytes at most, exactly as much as was asked for', async () => {
    const sizes: number[] = []
    const { verify } = await scene(async ({ say, hear, dialBack }) => {
      await say({ kind: 'dial-data-request', index: 0, bytes: 100_000n })
      while (sizes.reduce((sum, size) => sum + size, 0) < 100_000) {
        const message = await hear()
        if (message.kind !== 'dial-data-response') throw new Error(message.kind)
        sizes.push(message.data.length)
      }
      await dialBack()
      await say(ok)
    })
    expect(told(await verify())).toBe('reachable')
    expect(Math.max(...sizes)).toBe(4096)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(100_000)
  })

  it('is sent 300,000 bytes an hour to one witness', async () => {
    const { verify, time } = await scene(async ({ say, hear }) => {
      await say({ kind: 'dial-data-request', index: 0, bytes: 100_000n })
      for (let left = 100_000; left > 0; ) {
        const message = await hear()
        left -= message.kind === 'dial-data-response' ? message.data.length : 0
      }
      await say(dialError)
    })
    const outcomes = [await verify(), await verify(), await verify(), await verify()]
    expect(outcomes.map(told)).toEqual(['unreachable', 'unreachable', 'unreachable', 'inconclusive WITNESS_REFUSED'])
    await time.advance(3_600_000)
    expect(told(await verify())).toBe('unreachable')
  })

  it('that nobody takes holds up nobody for longer than the time', async () => {
    const { verify, time, streams } = await scene(async ({ say, stream }) => {
      stream.pause()
      await say({ kind: 'dial-data-request', index: 0, bytes: 100_000n })
      await new Promise(() => undefined)
    })
    const pending = verify()
    await time.asked(15_000)
    await time.advance(15_000)
    expect(told(await pending)).toBe('inconclusive NO_REPLY')
    expect(streams()).toBe(0)
  })
})

describe('verify', () => {
  it.each([
    '/ip4/127.0.0.1/tcp/4001',
    '/ip4/192.168.1.1/tcp/4001',
    '/ip6/fe80::1/tcp/4001',
    '/dns4/example.com/tcp/4001',
    '/ip4/11.0.0.1/tcp/4001/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln/p2p-circuit',
    '/ip4/11.0.0.1/tcp/4001/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln',
    '/ip4/11.0.0.1',
    '/nonsense'
  ])('asks nobody about %s', async (address) => {
    const fake = await startFake(async () => Promise.reject(new Error('it was asked')))
    const node = await startNode()
    await node.libp2p.dial(fake.libp2p.getMultiaddrs())
    const { isGlobal } = await import('@postern/interface')
    const witness = await search(node.components, { mayVerify: isGlobal }).witness()
    await expect(witness.verify(address as `/${string}`, call())).rejects.toMatchObject({
      code: 'ADDRESS_NOT_ROUTABLE'
    })
  })

  it('takes our own peer id at the end of an address', async () => {
    const { verify, node } = await scene(async ({ address, dialBack, say }) => {
      expect(address).toBe(node.plain)
      await dialBack()
      await say(ok)
    })
    expect(told(await verify(node.address))).toBe('reachable')
  })

  it('takes as long as timeoutMs says', async () => {
    const time = watchedClock()
    const fake = await startFake(async ({ hear }) => void (await hear()))
    const node = await startNode()
    await node.libp2p.dial(fake.libp2p.getMultiaddrs())
    const witness = await search(node.components, { timeoutMs: 3_000 }, time.clock).witness()
    const pending = witness.verify(node.plain, call())
    await time.asked(3_000)
    await time.advance(3_000)
    expect(told(await pending)).toBe('inconclusive NO_REPLY')
  })

  it('asks nobody with a signal that has aborted', async () => {
    let asked = 0
    const { verify } = await scene(async () => void (asked += 1))
    const reason = new Error('before')
    await expect(verify(undefined, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(asked).toBe(0)
  })

  const stages: readonly (readonly [string, (talk: Talk, reached: () => void) => Promise<void>])[] = [
    [
      'after the request',
      async ({ hear }, reached) => {
        reached()
        await hear()
      }
    ],
    [
      'while data is sent',
      async ({ say, stream }, reached) => {
        stream.pause()
        await say({ kind: 'dial-data-request', index: 0, bytes: 100_000n })
        reached()
        await new Promise(() => undefined)
      }
    ],
    [
      'after the nonce',
      async ({ dialBack, hear }, reached) => {
        await dialBack()
        reached()
        await hear()
      }
    ]
  ]

  it.each(stages)('that is aborted %s rejects with the reason and resets the stream', async (_, answer) => {
    const { promise: stage, resolve } = Promise.withResolvers<void>()
    const { verify, time, streams, search: looking } = await scene(async (talk) => answer(talk, resolve))
    const controller = new AbortController()
    const pending = verify(undefined, controller.signal)
    pending.catch(() => undefined)
    await stage
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(pending).rejects.toBe(reason)
    // A dial back may be closing its stream still; the end of the discovery does not wait for that.
    expect(streams(dialRequestProtocol)).toBe(0)
    await looking.stop()
    expect(streams()).toBe(0)
    expect(time.pending()).toBe(0)
  })

  it('that is aborted while it opens its stream leaves none behind', async () => {
    const { verify, time, streams, node } = await scene(async ({ hear }) => void (await hear()))
    const controller = new AbortController()
    const pending = verify(undefined, controller.signal)
    pending.catch(() => undefined)
    controller.abort(new Error('enough'))
    await expect(pending).rejects.toThrow('enough')
    expect(time.pending()).toBe(0)
    await Promise.all(node.libp2p.getConnections().map(async (each) => each.close()))
    expect(streams()).toBe(0)
  })

  it('that is under way when the discovery ends says nothing', async () => {
    const { promise: stage, resolve } = Promise.withResolvers<void>()
    const {
      verify,
      search: looking,
      streams
    } = await scene(async ({ hear }) => {
      resolve()
      await hear()
    })
    const pending = verify()
    await stage
    await looking.stop()
    expect(told(await pending)).toBe('inconclusive NO_REPLY')
    expect(told(await verify())).toBe('inconclusive NO_REPLY')
    expect(streams()).toBe(0)
  })

  it('of a witness that is gone says nothing', async () => {
    const { verify, fake } = await scene(async ({ say }) => say(ok))
    await fake.libp2p.stop()
    expect(told(await verify())).toBe('inconclusive NO_REPLY')
  })
})
