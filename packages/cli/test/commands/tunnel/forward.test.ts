import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import type { Connection } from '@libp2p/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { forwardServer } from '../../../src/commands/tunnel/forward.js'
import { dialLocal, heard } from './tunnel-nodes.js'

/** A local port for a peer that is never connected. */
async function forwarded() {
  const clock = virtualClock()
  const ended = new AbortController()
  const told: string[] = []
  let asked = 0
  const best = ({ signal }: { readonly signal: AbortSignal }): Promise<Connection> => {
    asked++
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
  }
  const server = forwardServer({ best }, (reason) => void told.push(reason), { clock, signal: ended.signal })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    ended.abort()
    server.close()
  })
  return { clock, told, ended, port: (server.address() as AddressInfo).port, asked: () => asked }
}

describe('a TCP connection to a peer that is not there', () => {
  it('a TCP connection to an absent peer is reset after 20 s and reported', async () => {
    const { clock, told, port, asked } = await forwarded()
    const socket = await dialLocal(port)
    const end = heard(socket)
    await expect.poll(asked, { interval: 5 }).toBe(1)
    await clock.advance(19_999)
    expect({ told, destroyed: socket.destroyed }).toEqual({ told: [], destroyed: false })
    await clock.advance(1)
    expect(await end).toBe('ECONNRESET')
    expect(told).toEqual(['no-peer'])
    expect(clock.pending).toBe(0)
  })

  it('a TCP connection beyond 128 is reset at once', async () => {
    const { clock, told, port, asked } = await forwarded()
    await Promise.all(Array.from({ length: 128 }, () => dialLocal(port)))
    await expect.poll(asked, { interval: 5 }).toBe(128)
    expect(await heard(connect(port, '127.0.0.1'))).toBe('ECONNRESET')
    expect(told).toEqual(['too-many'])
    await clock.advance(20_000)
    expect(told).toHaveLength(129)
    const end = heard(await dialLocal(port))
    await expect.poll(asked, { interval: 5 }).toBe(129)
    await clock.advance(20_000)
    expect(await end).toBe('ECONNRESET')
  })

  it('a waiting TCP connection is reset without a report when the program ends', async () => {
    const { told, port, asked, ended, clock } = await forwarded()
    const end = heard(await dialLocal(port))
    await expect.poll(asked, { interval: 5 }).toBe(1)
    ended.abort()
    expect(await end).toBe('ECONNRESET')
    expect({ told, pending: clock.pending }).toEqual({ told: [], pending: 0 })
  })
})
