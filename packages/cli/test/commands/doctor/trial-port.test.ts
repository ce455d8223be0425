import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { forwardedPort, whyNotListening } from '../../../src/commands/doctor/trial-port.js'

describe('the port of a trial', () => {
  it.each([
    ['manual:203.0.113.7:8080', 8080],
    ['upnp, manual:[2001:db8::1]:443', 443],
    ['manual:8443,any', 8443],
    ['any', undefined],
    ['pcp:192.168.1.1,stun:stun.example.org:3478', undefined]
  ])('forwardedPort of %s is %s', (via, port) => {
    expect(forwardedPort(via)).toBe(port)
  })

  it('whyNotListening names a port that another program has', async () => {
    const server = createServer()
    server.listen(0)
    await once(server, 'listening')
    const bound = server.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0
    const reason = await whyNotListening(port)
    // Only Linux tells which one.
    const program = process.platform === 'linux' ? `: .+ \\(process ${process.pid}\\)` : ''
    expect(reason).toMatch(new RegExp(`^another program of this host listens on TCP port ${port}${program}$`))
    server.close()
    await once(server, 'close')
    expect(await whyNotListening(port)).toBeUndefined()
  })
})
