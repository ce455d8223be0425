import { createHash, createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

/** A bore server in this process, on 127.0.0.1. Its faults are those that the real one cannot be made to have. */
export interface FakeServer {
  /** The port of control connections. */
  readonly controlPort: number
  /** `silent`: says nothing any more. `misdirecting`: lends ports at which another program answers. */
  mood: 'normal' | 'silent' | 'misdirecting'
  /** The text of the error with which it refuses requests. */
  refusal: string | undefined
  /** Takes over each new connection in place of the server. */
  script: ((socket: Socket) => void) | undefined
  /** How many control connections and acceptances it got. */
  readonly requests: () => number
  /** How many of them are open. */
  readonly open: () => number
  /** Sends a message over all control connections. */
  say(message: unknown): void
  /** Ends all connections, and lends none of the ports any more. */
  cut(): void
  close(): void
}

/** Returns a frame. */
export const frame = (message: unknown): string => `${JSON.stringify(message)}\0`

const heartbeatMs = 100
const ignore = (): void => undefined

/** Starts a server. */
export async function startFakeServer(secret?: string): Promise<FakeServer> {
  const sockets = new Set<Socket>()
  const controls = new Map<Socket, Server>()
  const waiting = new Map<string, Socket>()
  let requests = 0

  function serve(socket: Socket): void {
    requests += 1
    sockets.add(socket)
    socket.on('error', ignore)
    socket.once('close', () => {
      sockets.delete(socket)
      controls.get(socket)?.close()
      controls.delete(socket)
    })
    if (server.script !== undefined) return server.script(socket)
    if (server.mood === 'silent') return
    const challenge = secret === undefined ? undefined : randomUUID()
    if (challenge !== undefined) socket.write(frame({ Challenge: challenge }))
    let isTrusted = challenge === undefined
    let seen = ''
    const hear = (bytes: Buffer): void => {
      seen += bytes.toString('latin1')
      for (let end = seen.indexOf('\0'); end >= 0; end = seen.indexOf('\0')) {
        const message: Readonly<Record<string, string | number>> = JSON.parse(seen.slice(0, end))
        seen = seen.slice(end + 1)
        if (!isTrusted) {
          if (message.Authenticate !== answerTo(challenge ?? '', secret ?? '')) return refuse(socket, 'invalid secret')
          isTrusted = true
        } else if (typeof message.Hello === 'number') void lend(socket, message.Hello)
        else if (typeof message.Accept === 'string') {
          socket.off('data', hear)
          return join(socket, message.Accept)
        }
      }
    }
    socket.on('data', hear)
  }

  async function lend(control: Socket, wanted: number): Promise<void> {
    if (server.refusal !== undefined) return refuse(control, server.refusal)
    const listener = createServer({ allowHalfOpen: true }, (outside) => {
      outside.on('error', ignore)
      if (control.destroyed) return void outside.destroy()
      if (server.mood === 'silent') return
      if (server.mood === 'misdirecting') return void outside.end('220 another program\r\n')
      const id = randomUUID()
      waiting.set(id, outside)
      outside.once('close', () => waiting.delete(id))
      control.once('close', () => waiting.get(id)?.destroy())
      control.write(frame({ Connection: id }))
    })
    try {
      listener.listen(wanted, '127.0.0.1')
      await once(listener, 'listening')
    } catch {
      return refuse(control, 'port already in use')
    }
    if (control.destroyed) return void listener.close()
    controls.set(control, listener)
    control.write(frame({ Hello: portOf(listener) }))
  }

  function join(socket: Socket, id: string): void {
    const outside = waiting.get(id)
    waiting.delete(id)
    if (outside === undefined) return void socket.destroy()
    outside.pipe(socket).pipe(outside)
    for (const [one, other] of [
      [outside, socket],
      [socket, outside]
    ] as const)
      one.once('close', () => !one.readableEnded && other.destroy())
  }

  const listener = createServer({ allowHalfOpen: true }, serve)
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const beating = setInterval(() => {
    if (server.mood !== 'silent') server.say('Heartbeat')
  }, heartbeatMs)
  const server: FakeServer = {
    controlPort: portOf(listener),
    mood: 'normal',
    refusal: undefined,
    script: undefined,
    requests: () => requests,
    open: () => sockets.size,
    say(message) {
      for (const control of controls.keys()) control.write(frame(message))
    },
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    close() {
      clearInterval(beating)
      server.cut()
      for (const outside of waiting.values()) outside.destroy()
      listener.close()
    }
  }
  return server
}

function refuse(socket: Socket, text: string): void {
  socket.end(frame({ Error: text }))
}

function answerTo(challenge: string, secret: string): string {
  const key = createHash('sha256').update(secret).digest()
  return createHmac('sha256', key)
    .update(Buffer.from(challenge.replaceAll('-', ''), 'hex'))
    .digest('hex')
}

/** Returns the port on which a server listens. */
export function portOf(server: Server): number {
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}
