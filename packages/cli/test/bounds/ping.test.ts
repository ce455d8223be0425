import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { describe, expect, it, onTestFinished } from 'vitest'
import { boundedPing } from '../../src/bounds/ping.js'
import { stack } from '../../src/shared/libp2p-stack.js'

describe('pings', () => {
  const open = async () => {
    const node = await createLibp2p({
      ...stack({ maxStreamWindowBytes: 256 * 1024 }),
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionGater: { denyDialMultiaddr: () => false },
      connectionMonitor: { enabled: false },
      services: { ping: boundedPing() }
    })
    onTestFinished(async () => {
      for (const each of node.getConnections()) each.abort(new Error('the test is over'))
      await node.stop()
    })
    return node
  }

  it('boundedPing answers pings, and unread answers do not fill the memory', async () => {
    const [server, client] = await Promise.all([open(), open()])
    const connection = await client.dial(server.getMultiaddrs())
    expect(await client.services.ping.ping(server.peerId)).toBeGreaterThanOrEqual(0)

    const stream = await connection.newStream('/ipfs/ping/1.0.0')
    stream.pause()
    const total = 4 * 1024 * 1024
    for (let sent = 0; sent < total; sent += 1024) stream.send(new Uint8Array(1024))
    const kept = (): number =>
      server
        .getConnections()
        .flatMap(({ streams }) => streams)
        .reduce((sum, { readBufferLength, writeBufferLength }) => sum + readBufferLength + writeBufferLength, 0)
    let maxKept = 0
    for (let still = 0, before = -1; still < 100; still++) {
      if (before !== stream.writeBufferLength) [still, before] = [0, stream.writeBufferLength]
      await new Promise((go) => setImmediate(go))
      maxKept = Math.max(maxKept, kept())
    }
    expect(stream.writeBufferLength).toBeGreaterThan(total / 2)
    expect(maxKept).toBeLessThanOrEqual(2 * 256 * 1024)
  })
})
