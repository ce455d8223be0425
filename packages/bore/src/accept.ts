import type { Socket } from 'node:net'
import { type CallOptions, type Clock, within } from '@postern/interface'
import { decodeServerMessage, encodeAccept, encodeAnswer, takeFrame } from './codec.js'
import { dial, placeOf, type ServerAddress } from './dial.js'
import { hungUp, needsSecret, silent } from './errors.js'

/** The server drops a client that is not accepted for 10 s: src/server.rs of bore. */
const acceptMs = 10_000

/** Accepts a client that waits at the server, over a connection of its own. Resolves with that connection, which then has
 * the bytes of the client. Rejects with the signal's reason or with a NatError. */
export async function acceptClient(
  server: ServerAddress,
  secret: string | undefined,
  id: string,
  clock: Clock,
  call: CallOptions
): Promise<Socket> {
  const place = placeOf(server)
  return within(
    clock,
    acceptMs,
    call,
    () => silent(place),
    async (limited) => {
      const socket = await dial(server, clock, limited)
      try {
        if (secret !== undefined) socket.write(encodeAnswer(await challengeOn(socket, place, limited), secret))
        limited.signal.throwIfAborted()
        socket.write(encodeAccept(id))
        return socket
      } catch (error) {
        socket.resetAndDestroy()
        throw error
      }
    }
  )
}

/** Reads the challenge with which a server that has a secret begins each connection. What follows it stays unread. */
function challengeOn(socket: Socket, place: string, { signal }: CallOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0)
    const look = (): void => {
      for (let chunk = next(socket); chunk !== undefined; chunk = next(socket)) seen = Buffer.concat([seen, chunk])
      try {
        const taken = takeFrame(seen)
        if (taken === undefined) return
        const message = decodeServerMessage(taken.frame)
        if (message.kind !== 'challenge') throw message.kind === 'error' ? needsSecret(place) : hungUp(place)
        stop()
        if (taken.rest.length > 0) socket.unshift(taken.rest)
        resolve(message.id)
      } catch (error) {
        fail(error)
      }
    }
    const ended = (): void => fail(hungUp(place))
    const aborted = (): void => fail(signal.reason)
    const fail = (error: unknown): void => {
      stop()
      reject(error)
    }
    const stop = (): void => {
      socket.off('readable', look).off('end', ended).off('close', ended)
      signal.removeEventListener('abort', aborted)
    }
    socket.on('readable', look).once('end', ended).once('close', ended)
    signal.addEventListener('abort', aborted, { once: true })
  })
}

function next(socket: Socket): Buffer | undefined {
  const chunk: unknown = socket.read()
  return Buffer.isBuffer(chunk) ? chunk : undefined
}
