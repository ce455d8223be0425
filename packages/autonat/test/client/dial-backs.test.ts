import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { lpStream, streamPair } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { routeOf } from '@postern/libp2p-utils'
import { virtualClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import { createDialBacks } from '../../src/client/dial-backs.js'
import type { AutonatComponents } from '../../src/index.js'
import { encodeDialBack } from '../../src/wire/v2.js'
import { hostOf } from '../support/nodes.js'

/** The receiving side without a network. The test chooses the address and the peer of each stream. */
async function scene() {
  const clock = virtualClock()
  let accept: ((stream: Stream, connection: Connection) => void) | undefined
  const components = {
    registrar: {
      getProtocols: () => [],
      handle: async (_: string, handler: typeof accept) => void (accept = handler),
      unhandle: async () => undefined
    },
    connectionManager: { getConnections: () => [] }
  } as unknown as AutonatComponents
  const dialBacks = createDialBacks(hostOf(components, clock))
  await dialBacks.handle()
  const asked = routeOf('/ip4/203.0.113.7/tcp/4001')
  if (asked === undefined) throw new Error('no route')
  let count = 0
  return {
    clock,
    dialBacks,
    asked,
    /** Opens a stream to the handler, and returns the peer's end of it. */
    async open(from: string, peer: string): Promise<Stream> {
      const [theirs, ours] = await streamPair()
      count += 1
      const connection = {
        id: `connection ${count}`,
        status: 'open',
        direction: 'inbound',
        remoteAddr: multiaddr(`/ip4/${from}/tcp/${count}`),
        remotePeer: { toString: () => peer } as PeerId
      } as Connection
      accept?.(ours, connection)
      return theirs
    }
  }
}

it('silent streams of one address, or of 40 addresses, do not block a proof', async () => {
  for (const from of [() => '13.0.0.1', (index: number) => `13.${index % 40}.0.1`]) {
    const { open, dialBacks, asked } = await scene()
    const expected = dialBacks.expect(asked)
    for (let index = 0; index < 100; index += 1) await open(from(index), `peer${index}`)
    const honest = lpStream(await open('14.0.0.1', 'honest'))
    await honest.write(encodeDialBack(expected.nonce))
    await expected.proof
    expect(expected.isProven).toBe(true)
    await dialBacks.unhandle()
  }
})

it('a silent stream is reset after five seconds', async () => {
  const { open, dialBacks, asked, clock } = await scene()
  dialBacks.expect(asked)
  const silent = await open('13.0.0.1', 'silent')
  await clock.advance(5_000)
  await expect.poll(() => silent.status).not.toBe('open')
  await dialBacks.unhandle()
})
