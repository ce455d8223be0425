import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '@postern/interface'
import { afterEach, describe, expect, it } from 'vitest'
import { exchangeHttp, type HttpExchange } from '../../src/index.js'

const clock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (ms, { signal }) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => {
        clearTimeout(timer)
        reject(signal.reason)
      })
    })
}
const call = { signal: new AbortController().signal }
const servers = new Set<Server>()
const sockets = new Set<Socket>()
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers) server.close()
})

/** A server that answers with raw bytes and records the requests. */
async function serve(say: (socket: Socket, heard: string) => void): Promise<string> {
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data) => say(socket, String(data)))
  })
  servers.add(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  return `http://127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}/x`
}

const exchange = (url: string, changes: Partial<HttpExchange> = {}): HttpExchange => ({
  url: new URL(url),
  maxBytes: 100,
  timeoutMs: 2000,
  clock,
  ...changes
})
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

describe('exchangeHttp', () => {
  it('exchangeHttp skips a few interim responses and rejects if there are many', async () => {
    const interim = 'HTTP/1.1 103 Early Hints\r\n\r\n'
    const some = await serve((socket) =>
      socket.end(`${interim.repeat(4)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
    )
    expect((await exchangeHttp(exchange(some), call)).status).toBe(200)
    const many = await serve((socket) => void socket.write(interim.repeat(100)))
    await expect(exchangeHttp(exchange(many), call)).rejects.toMatchObject({ code: 'MALFORMED_REPLY' })
  })

  it('exchangeHttp connects to connectTo and sends the host of the URL', async () => {
    const heard: string[] = []
    const url = await serve((socket, request) => {
      heard.push(request)
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const { port } = new URL(url)
    const reply = await exchangeHttp(exchange(`http://[2001:db8::1]:${port}/x`, { connectTo: '127.0.0.1' }), call)
    expect(text(reply.body)).toBe('ok')
    expect(heard.join('')).toMatch(new RegExp(`\\r\\nHost: \\[2001:db8::1\\]:${port}\\r\\n`, 'i'))
  })

  it('exchangeHttp sends the length in bytes, closes the connection, and resolves with status, headers and body', async () => {
    let heard = ''
    const url = await serve((socket, request) => {
      heard += request
      socket.end('HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nhello')
    })
    const reply = await exchangeHttp(
      exchange(url, { method: 'POST', body: 'grüße', headers: { SOAPAction: '"x#y"' } }),
      call
    )
    expect({ ...reply, body: text(reply.body) }).toEqual({ status: 200, headers: { 'x-a': 'b' }, body: 'hello' })
    expect(heard).toContain('Content-Length: 7\r\n')
    expect(heard).toContain('Connection: close\r\n')
    expect(heard).toContain('SOAPAction: "x#y"\r\n')
  })

  it('exchangeHttp follows no redirect', async () => {
    const url = await serve((socket) =>
      socket.end('HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n')
    )
    expect((await exchangeHttp(exchange(url), call)).status).toBe(302)
  })

  it('exchangeHttp does not decompress a body that claims to be gzip', async () => {
    const url = await serve((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc')
    )
    expect(text((await exchangeHttp(exchange(url), call)).body)).toBe('abc')
  })

  it('exchangeHttp stops reading at maxBytes', async () => {
    const url = await serve((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      const chunk = `400\r\n${'a'.repeat(1024)}\r\n`
      const more = (): void => {
        while (!socket.destroyed && socket.write(chunk));
      }
      socket.on('drain', more)
      more()
    })
    await expect(exchangeHttp(exchange(url), call)).rejects.toMatchObject({ code: 'REPLY_TOO_LARGE' })
  })

  it.each([
    ['says nothing', ''],
    ['drips its headers', 'HTTP/1.1 200 OK\r\nX-'],
    ['never ends its body', 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc']
  ])('exchangeHttp does not wait for a server that %s', async (_, bytes) => {
    const url = await serve((socket) => void socket.write(bytes))
    await expect(exchangeHttp(exchange(url, { timeoutMs: 60 }), call)).rejects.toMatchObject({ code: 'NO_REPLY' })
  })

  it.each([
    ['something else than HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['headers without an end', `HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(5000)}`],
    ['half a body', 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc']
  ])('exchangeHttp rejects %s as malformed', async (_, bytes) => {
    const url = await serve((socket) => socket.end(bytes))
    await expect(exchangeHttp(exchange(url), call)).rejects.toMatchObject({ code: 'MALFORMED_REPLY' })
  })

  it.each([
    ['shorter than its length', 'Content-Length: 50\r\n\r\n<a>b</a>'],
    ['chunked and without the last chunk', 'Transfer-Encoding: chunked\r\n\r\n8\r\n<a>b</a>\r\n']
  ])('exchangeHttp accepts a body that is %s if isWhole returns true', async (_, bytes) => {
    const url = await serve((socket) => socket.end(`HTTP/1.1 200 OK\r\n${bytes}`))
    const isWhole = (body: Uint8Array): boolean => Buffer.from(body).toString() === '<a>b</a>'
    expect((await exchangeHttp(exchange(url, { isWhole }), call)).body).toHaveLength(8)
    await expect(exchangeHttp(exchange(url, { isWhole: () => false }), call)).rejects.toMatchObject({
      code: 'MALFORMED_REPLY'
    })
  })

  it('exchangeHttp ignores bytes after the announced length', async () => {
    const url = await serve((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef'))
    expect(Buffer.from((await exchangeHttp(exchange(url), call)).body).toString()).toBe('abc')
  })

  it('exchangeHttp rejects with REFUSED for a closed port', async () => {
    const url = await serve(() => undefined)
    for (const server of servers) server.close()
    await expect(exchangeHttp(exchange(url), call)).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it("exchangeHttp rejects with the signal's reason", async () => {
    const url = await serve(() => undefined)
    const abort = new AbortController()
    const running = exchangeHttp(exchange(url), abort)
    abort.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
    await expect(exchangeHttp(exchange(url), abort)).rejects.toThrow('enough')
  })
})
