import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openEarly } from '../../src/index.js'

async function listening(): Promise<{ readonly server: Server; readonly url: URL }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const bound = server.address()
  return { server, url: new URL(`http://example.org:${typeof bound === 'object' && bound !== null ? bound.port : 0}/`) }
}

describe('openEarly', () => {
  it('openEarly connects to the named address, gives the connection once, and leaves it open', async () => {
    const { server, url } = await listening()
    const early = openEarly(url, '127.0.0.1')
    const [accepted] = (await once(server, 'connection')) as [Socket]
    const socket = early.take()
    expect(socket?.localPort).toBe(accepted.remotePort)
    expect(early.take()).toBeUndefined()
    early.close()
    expect(socket?.destroyed).toBe(false)
    socket?.destroy()
  })

  it('close ends a connection that was not taken', async () => {
    const { server, url } = await listening()
    const early = openEarly(url, '127.0.0.1')
    const [accepted] = (await once(server, 'connection')) as [Socket]
    early.close()
    early.close()
    await once(accepted.resume(), 'close')
    expect(early.take()).toBeUndefined()
  })
})
