import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Logger, MessageStreamDirection } from '@libp2p/interface'
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Uint8ArrayList } from 'uint8arraylist'

/** Without traffic for this long (ms), the connection counts as lost, as in `@libp2p/tcp`. */
const idleMs = 120_000

/**
 * A connected TCP socket in the form that libp2p upgrades.
 *
 * The direction is the role in multistream, noise and yamux, not the direction of the dial. In a simultaneous open both
 * sides dial, but the protocols still need a client and a server (DCUtR).
 */
export class SocketConnection extends AbstractMultiaddrConnection {
  readonly #socket: Socket

  constructor(socket: Socket, remoteAddr: Multiaddr, direction: MessageStreamDirection, log: Logger) {
    super({ remoteAddr, direction, log })
    this.#socket = socket
    socket.on('data', (bytes) => this.onData(bytes))
    socket.on('error', (error) => this.abort(error))
    socket.setTimeout(idleMs, () => this.abort(new Error(`there was no traffic for ${idleMs / 1000} s`)))
    socket.once('end', () => this.onTransportClosed())
    socket.once('close', () => this.onTransportClosed())
    socket.on('drain', () => this.safeDispatchEvent('drain'))
    // `proposes` may have left the socket paused.
    socket.resume()
  }

  sendData(data: Uint8ArrayList): SendResult {
    let sentBytes = 0
    for (const bytes of data) {
      sentBytes += bytes.byteLength
      if (!this.#socket.write(bytes)) return { sentBytes, canSendMore: false }
    }
    return { sentBytes, canSendMore: true }
  }

  async sendClose(options?: { readonly signal?: AbortSignal }): Promise<void> {
    if (this.#socket.destroyed) return
    this.#socket.destroySoon()
    await once(this.#socket, 'close', options)
  }

  sendReset(): void {
    // libuv does not allow a reset during a shutdown.
    if (this.#socket.writableEnded) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }

  sendPause(): void {
    this.#socket.pause()
  }

  sendResume(): void {
    this.#socket.resume()
  }
}
