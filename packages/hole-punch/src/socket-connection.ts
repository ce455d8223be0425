import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Logger, MessageStreamDirection } from '@libp2p/interface'
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Uint8ArrayList } from 'uint8arraylist'

/** Nothing that went over the socket for so long: the other side is gone, in ms. As `@libp2p/tcp` has it. */
const idleMs = 120_000

/**
 * A connected TCP socket as libp2p upgrades it.
 *
 * The direction is that of multistream, noise and yamux, not that of the dial: in a simultaneous open both sides dial, and
 * the protocols still need a client and a server (DCUtR).
 */
export class SocketConnection extends AbstractMultiaddrConnection {
  readonly #socket: Socket

  constructor(socket: Socket, remoteAddr: Multiaddr, direction: MessageStreamDirection, log: Logger) {
    super({ remoteAddr, direction, log })
    this.#socket = socket
    socket.on('data', (bytes) => this.onData(bytes))
    socket.on('error', (error) => this.abort(error))
    socket.setTimeout(idleMs, () => this.abort(new Error(`nothing came for ${idleMs / 1000} s`)))
    socket.once('end', () => this.onTransportClosed())
    socket.once('close', () => this.onTransportClosed())
    socket.on('drain', () => this.safeDispatchEvent('drain'))
    // It may have been looked at, which leaves it paused.
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
    // A reset and a shutdown that is under way exclude each other in libuv.
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
