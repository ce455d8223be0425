import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dialTcp } from 'node:net'
import type { ConnectionEncrypter, Libp2p, MessageStream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fastNoise } from '../../src/shared/fast-noise.js'

const protocol = '/test/echo/1'
/** Lengths around the limits: of the fast functions, of a noise message, and of a window. */
const lengths = [1, 16, 1183, 1184, 1199, 1200, 1201, 32_768, 65_503, 65_519, 65_520, 300_000]

type Make = () => ReturnType<typeof noise>
const plain: Make = () => noise()
const fast: Make = () => fastNoise(noise()) as ReturnType<typeof noise>

async function start(make: Make): Promise<Libp2p> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [make()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false }
  })
  onTestFinished(() => node.stop())
  return node
}

/** Starts a node that sends back what it receives. */
async function startEcho(make: Make): Promise<Libp2p> {
  const node = await start(make)
  await node.handle(protocol, (stream) => {
    stream.addEventListener('message', ({ data }) => void stream.send(data))
    stream.addEventListener('remoteCloseWrite', () => void stream.close())
  })
  return node
}

/** Sends bytes, and resolves to those that come back. Rejects if the stream is cut. */
async function echo(node: Libp2p, address: string, bytes: Uint8Array): Promise<Buffer> {
  const stream = await node.dialProtocol(multiaddr(address), protocol)
  const heard: Uint8Array[] = []
  const ended = new Promise<void>((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => void heard.push(data.subarray()))
    stream.addEventListener('close', ({ error }) => (error === undefined ? resolve() : reject(error)))
  })
  stream.send(bytes)
  await Promise.all([stream.close(), ended])
  return Buffer.concat(heard)
}

const addressOf = (node: Libp2p): string => {
  const [address] = node.getMultiaddrs()
  if (address === undefined) throw new Error('no address')
  return address.toString()
}

const randomBytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 31) % 251)

describe('fastNoise', () => {
  it.each([
    ['itself', fast, fast],
    ['@libp2p/noise, as the dialler', fast, plain],
    ['@libp2p/noise, as the listener', plain, fast]
  ])('carries messages of any length to and from %s', { timeout: 20_000 }, async (_, dialler, listener) => {
    const [here, there] = await Promise.all([start(dialler), startEcho(listener)])
    for (const length of lengths) {
      const bytes = randomBytesOf(length)
      expect((await echo(here, addressOf(there), bytes)).equals(bytes), `${length} bytes`).toBe(true)
    }
  })

  it.each([100, 100_000])('ends the connection when one bit of %i bytes was changed on the way', async (length) => {
    const [here, there] = await Promise.all([start(fast), startEcho(fast)])
    const path = await startChangingPath(there)
    // The connection is made and used before anything is changed.
    const before = randomBytesOf(length)
    expect((await echo(here, path.address, before)).equals(before)).toBe(true)
    const [connection] = here.getConnections()
    path.change()
    await expect(echo(here, path.address, randomBytesOf(length))).rejects.toThrow(/reset|closed|abort/i)
    await expect.poll(() => connection?.status).not.toBe('open')
  })

  it('writes the parts of a message to a TCP connection at once, also when writing fails', async () => {
    const calls: string[] = []
    const socket = { cork: () => calls.push('cork'), uncork: () => calls.push('uncork') }
    const tcpStream = {
      socket,
      sendData(data: string) {
        calls.push(data)
        if (data === 'fault') throw new Error('the socket is closed')
        return data
      }
    }
    const secured = { connection: { handshake: {}, decrypt: () => undefined } }
    const known = {
      crypto: { encrypt: () => undefined, decrypt: () => undefined },
      secureInbound: async () => secured,
      secureOutbound: async () => secured
    } as unknown as ConnectionEncrypter
    await fastNoise(() => known)({}).secureInbound(tcpStream as unknown as MessageStream)
    expect(tcpStream.sendData('bytes')).toBe('bytes')
    expect(() => tcpStream.sendData('fault')).toThrow('closed')
    expect(calls).toEqual(['cork', 'bytes', 'uncork', 'cork', 'fault', 'uncork'])
  })

  it('throws for another encrypter, and for a connection of another one', async () => {
    expect(() => fastNoise(() => ({}) as ConnectionEncrypter)({})).toThrow('not known here')
    const other = {
      crypto: { encrypt: () => undefined, decrypt: () => undefined },
      secureInbound: async () => ({ connection: {} }),
      secureOutbound: async () => ({ connection: {} })
    } as unknown as ConnectionEncrypter
    await expect(fastNoise(() => other)({}).secureInbound({} as MessageStream)).rejects.toThrow('not known here')
  })
})

/** Starts a TCP proxy to a node, which can change one bit of what the dialler sends. */
async function startChangingPath(node: Libp2p): Promise<{ readonly address: string; change(): void }> {
  const port = Number(addressOf(node).split('/')[4])
  let left = 0
  const server = createServer((near) => {
    const far = dialTcp(port, '127.0.0.1')
    near.on('error', () => far.destroy()).on('close', () => far.destroy())
    far.on('error', () => near.destroy()).on('close', () => near.destroy())
    far.pipe(near)
    near.on('data', (bytes) => {
      const at = bytes.byteLength - 1
      if (left > 0 && bytes.byteLength > 60) {
        left--
        bytes[at] = (bytes[at] ?? 0) ^ 1
      }
      far.write(bytes)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const through = (server.address() as AddressInfo).port
  return {
    address: `/ip4/127.0.0.1/tcp/${through}/p2p/${node.peerId.toString()}`,
    change() {
      left = 1
    }
  }
}
