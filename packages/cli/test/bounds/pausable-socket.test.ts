import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { holdAfter } from '../../src/bounds/pausable-socket.js'

const sockets: Socket[] = []
const servers: Server[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

/** The local end of a connection to a peer that writes ten megabytes at once. */
async function flooded(take: (socket: Socket) => void): Promise<Socket> {
  const server = createServer()
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const accepted = once(server, 'connection')
  server.once('connection', take)
  const peer = createConnection(address.port, '127.0.0.1')
  peer.on('error', () => undefined)
  sockets.push(peer)
  peer.end(Buffer.alloc(10_000_000, 7))
  const [socket]: Socket[] = await accepted
  if (socket === undefined) throw new Error('no connection')
  socket.on('error', () => undefined)
  sockets.push(socket)
  return socket
}

describe('holdAfter', () => {
  it('holdAfter stops reading after its limit and the data in transit, and later everything is read', async () => {
    const until = new AbortController()
    let heard = 0
    const held = Promise.withResolvers<void>()
    const socket = await flooded((each) => {
      holdAfter(each, 100_000, until.signal)
      each.on('data', (chunk) => {
        heard += chunk.length
        if (heard >= 100_000) held.resolve()
      })
    })
    await held.promise
    // Ten turns of the event loop in which more data could arrive.
    for (let round = 0; round < 10; round += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(heard).toBeLessThan(100_000 + 2 * 65_536)
    const ended = once(socket, 'end')
    until.abort()
    await ended
    expect(heard).toBe(10_000_000)
  })

  it('a held socket closes without an error', async () => {
    const until = new AbortController()
    const socket = await flooded((each) => {
      holdAfter(each, 1000, until.signal)
      each.resume()
    })
    const closed = once(socket, 'close')
    socket.destroy()
    await closed
    until.abort()
    expect(socket.destroyed).toBe(true)
  })
})
