import type { Listener } from '@libp2p/interface'

/**
 * The largest message of a WebSocket, in bytes. js-libp2p sends a noise frame in each, of 64 KiB and 2 bytes at most; others
 * send what their buffers hold, which is 128 KiB and a frame for rust-libp2p.
 */
export const maxMessageBytes: number = 256 * 1024

/**
 * Bounds the messages of a WebSocket listener, and ends a WebSocket that breaks the protocol. The library behind the listener
 * keeps a message in memory until it is whole, of 100 MiB at most, and ends the process where an error has no listener.
 *
 * Dials have no such bound, since the `WebSocket` of the platform takes no options.
 *
 * The WebSocket server of a listener is not in its interface; the versions are pinned, and a test holds it. Throws where
 * there is none.
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
