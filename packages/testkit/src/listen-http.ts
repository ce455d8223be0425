import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '@postern/interface'
import type { SocketAddress } from '@postern/net'
import type { HttpAnswer, HttpRequest, Line } from './transport.js'

const connections = new WeakMap<Server, Set<Socket>>()
const maxRequestBytes = 65_536

/** Serves a gateway's description and control URLs. Node's own HTTP server cannot send faulty answers. */
export async function openHttpServer(local: SocketAddress, line: Line, clock: Clock): Promise<Server> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    const closed = new AbortController()
    socket.on('error', () => undefined)
    socket.on('close', () => {
      open.delete(socket)
      closed.abort()
    })
    let received = Buffer.alloc(0)
    let answered = false
    socket.on('data', (bytes: Buffer) => {
      if (answered) return
      received = Buffer.concat([received, bytes])
      if (received.length > maxRequestBytes) return void socket.destroy()
      const request = readRequest(received)
      if (request === undefined) return
      answered = true
      const from = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
      // The client closed the connection before the end of the answer.
      give(socket, line.exchange(request, from), clock, closed.signal).catch(() => socket.destroy())
    })
  })
  connections.set(server, open)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: local.address, port: local.port, exclusive: true }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return server
}

/** Closes a server and its connections. Resolves when all are closed. */
export async function closeServer(server: Server): Promise<void> {
  const closing = new Promise<void>((resolve) => server.close(() => resolve()))
  // A server emits `close` before the last connection is closed.
  const connected = [...(connections.get(server) ?? [])].map((socket) => {
    socket.destroy()
    return new Promise<void>((resolve) => socket.once('close', () => resolve()))
  })
  await Promise.all([closing, ...connected])
}

/** Returns the request; undefined while it is incomplete. */
function readRequest(bytes: Buffer): HttpRequest | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [start = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const [method = '', path = ''] = start.split(' ')
  const headers = Object.fromEntries(
    lines.map((each) => [
      each.slice(0, each.indexOf(':')).trim().toLowerCase(),
      each.slice(each.indexOf(':') + 1).trim()
    ])
  )
  const length = Number(headers['content-length'] ?? '0')
  const body = bytes.subarray(end + 4)
  if (body.length < length) return undefined
  return { method, path, headers, body: body.toString('utf8') }
}

/** Small enough that an answer has several chunks. */
const chunkBytes = 100

async function give(socket: Socket, answer: HttpAnswer, clock: Clock, signal: AbortSignal): Promise<void> {
  const { status, headers, body, delayMs, manner } = answer
  const pause = (ms: number): Promise<void> => clock.sleep(ms, { signal })
  const colon = manner === 'tight-headers' ? ':' : ': '
  const head = (extra = ''): string =>
    `HTTP/1.1 ${status} ${status < 400 ? 'OK' : 'Error'}\r\n${headers.map(([name, value]) => `${name}${colon}${value}\r\n`).join('')}${extra}\r\n`
  if (delayMs > 0) await pause(delayMs)
  switch (manner) {
    case 'plain':
    case 'tight-headers':
    case 'no-content-length':
      socket.write(head())
      socket.end(body)
      return
    case 'chunked':
      socket.write(head())
      for (let start = 0; start < body.length; start += chunkBytes) {
        const chunk = body.subarray(start, start + chunkBytes)
        socket.write(`${chunk.length.toString(16)}\r\n`)
        socket.write(chunk)
        socket.write('\r\n')
      }
      socket.end('0\r\n\r\n')
      return
    case 'reset':
      socket.write(head())
      socket.write(body.subarray(0, body.length >> 1), () => socket.destroy())
      return
    case 'not-http':
      socket.end('SSH-2.0-router\r\n\r\n')
      return
    case 'hang':
      return
    case 'slow-headers':
      for (const letter of endlessly(`${head().slice(0, -2)}X-Padding: `)) {
        socket.write(letter)
        await pause(100)
      }
      return
    case 'drip':
      socket.write(head())
      for (const byte of body) {
        socket.write(Uint8Array.of(byte))
        await pause(100)
      }
      socket.end()
      return
    case 'endless':
      socket.write(head('Transfer-Encoding: chunked\r\n'))
      socket.write(`${body.length.toString(16)}\r\n`)
      socket.write(body)
      while (!signal.aborted) {
        const chunk = `\r\n4000\r\n${' '.repeat(0x4000)}`
        if (!socket.write(chunk)) await drained(socket, signal)
      }
  }
}

function* endlessly(text: string): Generator<string> {
  yield* text
  for (;;) yield 'x'
}

function drained(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    socket.once('drain', done)
    signal.addEventListener('abort', done, { once: true })
  })
}
