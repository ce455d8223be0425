import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { createWitnessServer, type WitnessServer, type WitnessServerOptions } from '../../src/server/index.js'
import { mediaType, verifyPath } from '../../src/wire/messages.js'

/** The loopback address of the server, which differs from that of its clients. macOS has only 127.0.0.1. */
export const serverHost = '127.0.0.9'
export const skipReason = process.platform === 'darwin' ? 'this system has one loopback address only' : undefined

/** Dials loopback addresses, which are not its own. */
export const onLoopback: WitnessServerOptions = { mayDial: () => true, hostAddresses: () => [] }

/** Starts a witness server on loopback. Resolves with it and its URL. */
export async function start(
  options: WitnessServerOptions = {}
): Promise<{ server: WitnessServer; url: string; port: number }> {
  const server = createWitnessServer({ ...onLoopback, ...options })
  onTestFinished(() => server.close())
  const { port } = await server.listen(0, serverHost)
  return { server, url: `http://${serverHost}:${port}`, port }
}

export interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly headers: Headers
}

export const nonce = '000102030405060708090a0b'

/** Sends a request as `fetch` does. */
export async function post(
  url: string,
  body: unknown,
  {
    method = 'POST',
    headers = {},
    path = verifyPath
  }: { method?: string; headers?: Record<string, string>; path?: string } = {}
): Promise<Answer> {
  const reply = await fetch(`${url}${path}`, {
    method,
    headers: { 'content-type': mediaType, ...headers },
    ...(method === 'GET' ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) })
  })
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown>, headers: reply.headers }
}

/** Opens a TCP port of a client. */
export async function target(
  handle: (socket: Socket) => void = (socket) => socket.end()
): Promise<{ server: Server; port: number }> {
  const server = createServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const bound = server.address()
  return { server, port: typeof bound === 'object' && bound !== null ? bound.port : 0 }
}

/** Returns a request about a port of the client. */
export const about = (port: number, more: object = {}): object => ({
  protocol: 'tcp',
  address: '127.0.0.1',
  port,
  nonce,
  ...more
})
