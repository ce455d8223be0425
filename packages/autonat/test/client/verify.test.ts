import { isGlobal } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { dialRequestProtocol } from '../../src/wire/v2.js'
import { dialError, ok, startFake, type Talk, watchedClock } from '../support/fakes.js'
import { call, search, startNode } from '../support/nodes.js'
import { scene, told } from './scene.js'

describe('dial data', () => {
  it('dial data is sent in messages of at most 4096 bytes, exactly as much as requested', async () => {
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

  it('one witness gets at most 300,000 bytes of dial data per hour', async () => {
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

  it('dial data that the witness does not read ends with the timeout', async () => {
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
  ])('verify rejects %s without asking the witness', async (address) => {
    const fake = await startFake(async () => Promise.reject(new Error('it was asked')))
    const node = await startNode()
    await node.libp2p.dial(fake.libp2p.getMultiaddrs())
    const witness = await search(node.components, { mayVerify: isGlobal }).witness()
    await expect(witness.verify(address as `/${string}`, call())).rejects.toMatchObject({
      code: 'ADDRESS_NOT_ROUTABLE'
    })
  })

  it("verify accepts an address that ends with the node's own peer id", async () => {
    const { verify, node } = await scene(async ({ address, dialBack, say }) => {
      expect(address).toBe(node.plain)
      await dialBack()
      await say(ok)
    })
    expect(told(await verify(node.address))).toBe('reachable')
  })

  it('verify ends after timeoutMs', async () => {
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

  it('verify does not ask the witness with an aborted signal', async () => {
    let asked = 0
    const { verify } = await scene(async () => void (asked += 1))
    const reason = new Error('before')
    await expect(verify(undefined, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(asked).toBe(0)
  })

  const stages: readonly (readonly [string, (talk: Talk, reached: () => void) => Promise<void>])[] = [
    [
      'after the request was sent',
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

  it.each(stages)('an abort %s rejects with the reason and resets the stream', async (_, answer) => {
    const { promise: stage, resolve } = Promise.withResolvers<void>()
    const { verify, time, streams, search: looking } = await scene(async (talk) => answer(talk, resolve))
    const controller = new AbortController()
    const pending = verify(undefined, controller.signal)
    pending.catch(() => undefined)
    await stage
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(pending).rejects.toBe(reason)
    // The stream of a dial back may still be closing; the end of the discovery does not wait for it.
    expect(streams(dialRequestProtocol)).toBe(0)
    await looking.stop()
    expect(streams()).toBe(0)
    expect(time.pending()).toBe(0)
  })

  it('an abort while the stream opens leaves no stream behind', async () => {
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

  it('a question that is in progress when the discovery ends is inconclusive', async () => {
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

  it('verify of a lost witness is inconclusive', async () => {
    const { verify, fake } = await scene(async ({ say }) => say(ok))
    await fake.libp2p.stop()
    expect(told(await verify())).toBe('inconclusive NO_REPLY')
  })
})
