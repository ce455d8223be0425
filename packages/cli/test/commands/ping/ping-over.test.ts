import type { Stream } from '@libp2p/interface'
import { systemClock as clock } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { boundedPing } from '../../../src/bounds/ping.js'
import { pingOver } from '../../../src/commands/ping/ping-over.js'
import { tunnelNode } from '../tunnel/tunnel-nodes.js'

const protocol = '/ipfs/ping/1.0.0'

/** Connects to a real node that handles the protocol in this way. */
async function connected(handle?: (stream: Stream) => void) {
  const [here, there] = await Promise.all([tunnelNode(), tunnelNode()])
  if (handle !== undefined) await there.handle(protocol, handle)
  const ended = new AbortController()
  const connection = await here.dial(there.getMultiaddrs())
  return { here, there, connection, ended, call: { clock, signal: ended.signal } }
}

const onceAsked = (answer: (bytes: Uint8Array, stream: Stream) => void) => (stream: Stream) => {
  stream.addEventListener('message', ({ data }) => answer(data.subarray(), stream))
}

describe('a ping over one connection', () => {
  it('a ping is answered by the handler of this program', async () => {
    const { there, connection, call } = await connected()
    // The service needs only the registrar to answer.
    const service = boundedPing()({
      registrar: { handle: (name: string, handler: never) => there.handle(name, handler), unhandle: () => undefined }
    } as never)
    if ('start' in service && typeof service.start === 'function') await service.start()
    for (let each = 0; each < 3; each++) {
      const ms = await pingOver(connection, call)
      expect(ms).toBeGreaterThan(0)
    }
  })

  it('a ping accepts an answer in pieces, and leaves no stream', async () => {
    const { connection, call } = await connected(
      onceAsked((bytes, stream) => {
        stream.send(bytes.subarray(0, 5))
        stream.send(bytes.subarray(5))
        void stream.close()
      })
    )
    expect(await pingOver(connection, call)).toBeGreaterThan(0)
    await expect.poll(() => connection.streams.filter((each) => each.protocol === protocol)).toEqual([])
  })

  it.each([
    ['other bytes', 'MALFORMED_REPLY', onceAsked((bytes, stream) => void stream.send(bytes.map((each) => each ^ 1)))],
    ['too many bytes', 'MALFORMED_REPLY', onceAsked((_, stream) => void stream.send(new Uint8Array(100_000)))],
    [
      'an end after a few',
      'NO_REPLY',
      onceAsked((bytes, stream) => void (stream.send(bytes.subarray(9)), stream.close()))
    ],
    ['a reset', 'NO_REPLY', (stream: Stream) => stream.abort(new Error('no'))],
    ['no such protocol', 'UNSUPPORTED', undefined]
  ] as const)('a ping that is answered with %s rejects with %s', async (_, code, handle) => {
    const { connection, call } = await connected(handle)
    await expect(pingOver(connection, call)).rejects.toMatchObject({ code })
    await expect.poll(() => connection.streams.filter((each) => each.protocol === protocol)).toEqual([])
  })

  it('a ping without an answer ends with the signal', async () => {
    const { connection, call, ended } = await connected(() => ended.abort(new Error('enough')))
    await expect(pingOver(connection, call)).rejects.toThrow('enough')
    await expect.poll(() => connection.streams.filter((each) => each.protocol === protocol)).toEqual([])
  })
})
