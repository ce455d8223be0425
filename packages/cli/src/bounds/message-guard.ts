import type { Listener } from '@libp2p/interface'

/**
 * The maximum size of a WebSocket message, in bytes. js-libp2p sends one noise frame in each message, of at most 64 KiB
 * and 2 bytes. Other implementations send the content of their buffers, which is 128 KiB and one frame for rust-libp2p.
 */
export const maxMessageBytes: number = 256 * 1024

/**
 * Limits the messages of a WebSocket listener, and closes a WebSocket that violates the protocol. Without this, the
 * library would keep messages of up to 100 MiB in memory, and end the process for an error without a listener.
 *
 * Dialled WebSockets have no such limit, because the `WebSocket` of the platform has no options.
 *
 * The WebSocket server of a listener is not in its public interface; the versions are pinned, and a test checks this.
 * Throws if there is none.
 */
export function guardMessages(listener: Listener): void {
  if (!('wsServer' in listener) || !isWebSocketServer(listener.wsServer))
    throw new Error('this version of the WebSocket transport is not known here')
  const { wsServer } = listener
  wsServer.options.maxPayload = maxMessageBytes
  const handleUpgrade = wsServer.handleUpgrade.bind(wsServer)
  wsServer.handleUpgrade = (request, socket, head, done) =>
    handleUpgrade(request, socket, head, (webSocket, ...rest) => {
      webSocket.on('error', () => webSocket.terminate())
      done(webSocket, ...rest)
    })
}

interface WebSocketServer {
  readonly options: { maxPayload: number }
  handleUpgrade(request: unknown, socket: unknown, head: unknown, done: Upgraded): void
}

type Upgraded = (webSocket: WebSocketOfServer, ...rest: readonly unknown[]) => void

interface WebSocketOfServer {
  on(event: 'error', heard: () => void): unknown
  terminate(): void
}

const isWebSocketServer = (server: unknown): server is WebSocketServer =>
  isObject(server) &&
  'handleUpgrade' in server &&
  typeof server.handleUpgrade === 'function' &&
  'options' in server &&
  isObject(server.options) &&
  'maxPayload' in server.options &&
  typeof server.options.maxPayload === 'number'

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
