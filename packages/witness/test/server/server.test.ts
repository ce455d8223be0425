import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { decodeBindingIndication } from '@postern/net'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createWitnessServer, type WitnessServerOptions } from '../../src/server/index.js'
import { addressPath } from '../../src/wire/messages.js'
import { about, nonce, onLoopback, post, serverHost, skipReason, start, target } from './scene.js'

/** Says in titles why tests are skipped. */
const skipped = skipReason === undefined ? '' : ` (skipped: ${skipReason})`

describe.skipIf(skipReason !== undefined)(`a witness server over TCP${skipped}`, () => {
  it('the server connects to the address of the client, and names the place that it connects from', async () => {
    const { server, url } = await start()
    const ports: unknown[] = []
    const { port } = await target((socket) => {
      ports.push(socket.remotePort)
      socket.end()
    })
    const { status, body } = await post(url, about(port))
    expect(status).toBe(200)
    expect(body).toEqual({
      outcome: 'connected',
      address: '127.0.0.1',
      port,
      from: { address: serverHost, port: ports[0] }
    })
    expect(server.counters).toEqual({ requests: 1, dials: 1, reached: 1, unreached: 0 })
  })

  it('the server sends FIN and no bytes, and reads the greeting of the other side, so that nothing is reset', async () => {
    const { server, url } = await start()
    const errors: unknown[] = []
    const ended = Promise.withResolvers<number>()
    const { port } = await target((socket) => {
      socket.on('error', (error) => errors.push(error))
      socket.write(Buffer.alloc(32_768, 'a'))
      let received = 0
      socket.on('data', (bytes) => (received += bytes.length))
      socket.on('end', () => {
        socket.end('bye')
        ended.resolve(received)
      })
    })
    await post(url, about(port))
    expect(await ended.promise).toBe(0)
    await server.close()
    expect(errors).toEqual([])
    expect(server.dialling).toBe(0)
  })

  it('the server holds the connection open for the time that the client asks for', async () => {
    const clock = virtualClock()
    const { url } = await start({ clock })
    const ended = Promise.withResolvers<void>()
    let isEnded = false
    const { port } = await target((socket) => {
      socket.resume().on('end', () => {
        isEnded = true
        ended.resolve()
      })
    })
    await post(url, about(port, { holdMs: 300 }))
    await clock.advance(299)
    await post(url, about(port))
    expect(isEnded).toBe(false)
    await clock.advance(1)
    await ended.promise
  })

  it('the server says that a closed port refuses', async () => {
    const { server, url } = await start()
    const { server: home, port } = await target()
    home.close()
    await once(home, 'close')
    const { status, body } = await post(url, about(port))
    expect([status, body]).toEqual([200, { outcome: 'refused', address: '127.0.0.1', port }])
    expect(server.counters.unreached).toBe(1)
  })

  it('the server names the announced address instead of its own', async () => {
    const { url } = await start({ announce: ['203.0.113.9', '2001:db8::9'] })
    const { body } = await post(url, about((await target()).port))
    expect(body).toMatchObject({ from: { address: '203.0.113.9' } })
  })

  it('close ends connections that the other side holds open', async () => {
    const { server, url } = await start()
    const sockets: Socket[] = []
    const { port } = await target((socket) => {
      sockets.push(socket.on('error', () => undefined))
    })
    await post(url, about(port))
    expect(server.dialling).toBe(1)
    await server.close()
    expect(server.dialling).toBe(0)
    for (const socket of sockets) socket.destroy()
  })

  it('a request with an unknown Expect counts for the limits, like every other one', async () => {
    const { server, port } = await start({ requestsPerIp: 1 })
    const socket = connect(port, serverHost)
    onTestFinished(() => void socket.destroy())
    const answers: string[] = []
    socket.setEncoding('utf8').on('data', (text: string) => answers.push(...(text.match(/HTTP\/1.1 \d+/g) ?? [])))
    const request = `GET ${addressPath} HTTP/1.1\r\nHost: x\r\nExpect: much\r\n\r\n`
    socket.write(request.repeat(20))
    await once(socket, 'close')
    expect(server.counters.requests).toBeGreaterThan(0)
    expect(answers).toContain('HTTP/1.1 429')
    expect(answers).not.toContain('HTTP/1.1 417')
  })

  it('every call of close resolves when the ports are free again, and disposing is the same', async () => {
    const { server, port } = await start()
    const socket = connect(port, serverHost).on('error', () => undefined)
    await once(socket, 'connect')
    void server.close()
    await server[Symbol.asyncDispose]()
    const other = createWitnessServer(onLoopback)
    onTestFinished(() => other.close())
    expect(await other.listen(port, serverHost)).toEqual({ address: serverHost, port })
  })

  it('a closed server does not listen, also if it was closed while listen waited', async () => {
    const { server } = await start()
    const waiting = server.listen(0, serverHost)
    await Promise.all([expect(waiting).rejects.toThrow(/^this witness server is closed/), server.close()])
    await expect(server.listen(0, serverHost)).rejects.toThrow(TypeError)
  })

  it.each([undefined, null, '4003', -1, 1.5, 65_536, Number.NaN])('listen rejects the port %s', async (port) => {
    const server = createWitnessServer(onLoopback)
    await expect(server.listen(port as never, serverHost)).rejects.toThrow(/^listen\(\): port has to be an integer/)
  })
})

describe.skipIf(skipReason !== undefined)(`a witness server over UDP${skipped}`, () => {
  it('the server sends Binding indications that carry the nonce, from the place that it names', async () => {
    const { url } = await start()
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    onTestFinished(() => void socket.close())
    const { port } = socket.address()
    const [{ body }, [bytes, from]] = await Promise.all([
      post(url, about(port, { protocol: 'udp' })),
      once(socket, 'message')
    ])
    expect(Buffer.from(decodeBindingIndication(bytes as Buffer) ?? []).toString('hex')).toBe(nonce)
    expect(body).toMatchObject({
      outcome: 'sent',
      from: { address: serverHost, port: (from as { port: number }).port }
    })
  })
})

describe.skipIf(skipReason !== undefined)(`a witness server refuses${skipped}`, () => {
  it.each<[string, object, number, string]>([
    ['another address than that of the client', { address: '127.0.0.2' }, 403, 'address-differs'],
    ['a public address that is not that of the client', { address: '203.0.113.7' }, 403, 'address-differs'],
    ['port 22', { port: 22 }, 403, 'port-not-allowed'],
    ['port 1023', { port: 1023 }, 403, 'port-not-allowed'],
    ['a malformed request', { nonce: 'none' }, 400, 'malformed'],
    ['a large request', { more: 'x'.repeat(2000) }, 413, 'too-large']
  ])('the server refuses %s and dials nothing', async (_, more, status, error) => {
    const { server, url } = await start()
    const reply = await post(url, about(4001, more))
    expect([reply.status, reply.body['error']]).toEqual([status, error])
    expect(server.counters.dials).toBe(0)
    expect(server.refused).toEqual({ [error]: 1 })
    if (error === 'address-differs') expect(reply.body['observed']).toBe('127.0.0.1')
  })

  it('the server dials ports 80 and 443', async () => {
    const { server, url } = await start()
    await Promise.all([post(url, about(80)), post(url, about(443))])
    expect(server.counters.dials).toBe(2)
  })

  it.each<[string, WitnessServerOptions]>([
    ['private addresses by default', { hostAddresses: () => [] }],
    ['its own addresses', { mayDial: () => true, hostAddresses: () => ['127.0.0.1'] }],
    ['the address that it announces', { mayDial: () => true, hostAddresses: () => [], announce: ['127.0.0.1'] }]
  ])('the server refuses %s', async (_, options) => {
    const server = createWitnessServer(options)
    onTestFinished(() => server.close())
    const { port } = await server.listen(0, serverHost)
    const { status, body } = await post(`http://${serverHost}:${port}`, about(4001))
    expect([status, body['error']]).toEqual([403, 'address-not-allowed'])
    expect(server.counters.dials).toBe(0)
  })

  it.each<[string, Parameters<typeof post>[2], number]>([
    ['another path', { path: '/' }, 404],
    ['another method', { method: 'GET' }, 405],
    ['a web page', { headers: { origin: 'https://example.org' } }, 403],
    ['the media type of a form', { headers: { 'content-type': 'text/plain' } }, 415]
  ])('the server refuses %s', async (_, how, status) => {
    const { server, url } = await start()
    expect((await post(url, about(4001), how)).status).toBe(status)
    expect(server.counters.dials).toBe(0)
  })

  it('the server tells a client at which address it sees it, and no web page', async () => {
    const { server, url } = await start()
    const { status, body } = await post(url, '', { method: 'GET', path: addressPath })
    expect([status, body]).toEqual([200, { address: '127.0.0.1' }])
    const page = { method: 'GET', path: addressPath, headers: { origin: 'https://example.org' } }
    expect((await post(url, '', page)).status).toBe(403)
    expect((await post(url, about(4001), { path: addressPath })).status).toBe(405)
    expect(server.counters.dials).toBe(0)
  })

  it('the server ignores the headers of clients that are not its proxies', async () => {
    const { server, url } = await start({ trustProxy: { header: 'x-forwarded-for', proxies: ['127.0.0.5'] } })
    const { body } = await post(url, about(4001, { address: '203.0.113.7' }), {
      headers: { 'x-forwarded-for': '203.0.113.7', forwarded: 'for=203.0.113.7', 'x-real-ip': '203.0.113.7' }
    })
    expect(body).toMatchObject({ error: 'address-differs', observed: '127.0.0.1' })
    expect(server.counters.dials).toBe(0)
  })

  it('the server does not answer bytes that are not HTTP', async () => {
    const { server, port } = await start()
    const socket = connect(port, serverHost)
    socket.write('\u0000\u0001 not HTTP\r\n\r\n')
    await once(socket.resume(), 'close')
    expect(server.counters.requests).toBe(0)
  })
})

it.each<[string, unknown]>([
  ['a limit of 0', { requestsPerIp: 0 }],
  ['a limit as text', { concurrency: '4' }],
  ['an announced name', { announce: ['example.org'] }],
  ['a proxy without a header', { trustProxy: { proxies: ['127.0.0.1'] } }],
  ['a proxy by its name', { trustProxy: { header: 'x-real-ip', proxies: ['proxy'] } }],
  ['a range that is too long', { trustProxy: { header: 'x-real-ip', proxies: ['10.0.0.0/33'] } }],
  ['an unknown option', { trustproxy: {} }]
])('createWitnessServer throws a TypeError for %s', (_, options) => {
  expect(() => createWitnessServer(options as WitnessServerOptions)).toThrow(TypeError)
})

it.skipIf(skipReason !== undefined)('listen rejects with the error of the system if the port is taken', async () => {
  const { port } = await start()
  const other = createWitnessServer(onLoopback)
  await expect(other.listen(port, serverHost)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await other.close()
  await other.close()
})
