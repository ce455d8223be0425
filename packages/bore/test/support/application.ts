import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import type { Endpoint } from '@postern/interface'
import { portOf } from './fake-server.js'

/** An application that answers each connection with its port, a space, and what it received. */
export interface Application {
  readonly endpoint: Endpoint
  readonly server: Server
}

/** Starts an application on ::1, so that its port is free on 127.0.0.1. */
export async function startApplication(): Promise<Application> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = []
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('end', () => socket.end(`${portOf(server)} ${Buffer.concat(chunks).toString()}`))
  })
  server.listen(0, '::1')
  await once(server, 'listening')
  return { server, endpoint: { protocol: 'tcp', family: 6, address: '::1', port: portOf(server) } }
}

/** Connects, sends a text and the end, and resolves with the answer. */
export async function exchange(
  external: { readonly address: string; readonly port: number },
  text: string
): Promise<string> {
  const socket = connect({ host: external.address, port: external.port, allowHalfOpen: true })
  socket.end(text)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks).toString()
}
