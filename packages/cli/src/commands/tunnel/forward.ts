import { createServer, type Server, type Socket } from 'node:net'
import type { Connection, Stream } from '@libp2p/interface'
import { type Clock, within } from '@postern/interface'
import { late } from '../../shared/late.js'
import { splice } from './copy-bytes.js'
import type { Keeper } from './keep.js'
import { createPlaces } from './places.js'
import { type Answer, decodeAnswer, firstByte, tunnelProtocol, type Wish, wishes } from './protocol.js'

/** How many TCP connections are carried at the same time. Further ones are reset. The default of `tunnel listen`. */
const maxConnections = 128
/** How long a TCP connection waits for the other side, in ms: up to 10 s until the peer is connected, and up to 10 s until
 * its target accepts. */
const patienceMs = 20_000

/** Opens a tunnel. Resolves to the answer of the peer and the stream. Rejects if the peer does not support the
 * protocol, or does not answer. */
export async function openTunnel(
  connection: Connection,
  wish: Wish,
  { signal }: { readonly signal: AbortSignal }
): Promise<{ readonly answer: Answer; readonly stream: Stream }> {
  const stream = await connection.newStream(tunnelProtocol, { runOnLimitedConnection: true, signal })
  try {
    stream.send(Uint8Array.of(wishes[wish]))
    const answer = decodeAnswer(await firstByte(stream, { signal }))
    if (answer !== 'accepted' || wish === 'ask') stream.abort(new Error('there is nothing more to say'))
    return { answer, stream }
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}

/** Creates a server that carries each TCP connection through its own tunnel. It does not listen yet. */
export function forwardServer(
  keeper: Keeper,
  told: (reason: Exclude<Answer, 'accepted'> | 'no-peer', error?: unknown) => void,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }
): Server {
  const places = createPlaces(maxConnections, maxConnections)
  async function carry(socket: Socket): Promise<void> {
    const release = places.take('')
    if (release === undefined) {
      told('too-many')
      socket.resetAndDestroy()
      return
    }
    const ignored = (): void => undefined
    socket.on('error', ignored)
    try {
      const { answer, stream } = await within(clock, patienceMs, { signal }, late, async (call) =>
        openTunnel(await keeper.best(call), 'connect', call)
      )
      if (answer === 'accepted') {
        await splice(socket, stream, { signal })
        return
      }
      told(answer)
    } catch (error) {
      if (!signal.aborted) told('no-peer', error)
    } finally {
      release()
      if (!socket.destroyed) socket.resetAndDestroy()
    }
  }
  return createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => void carry(socket))
}
