import type { Stream } from '@libp2p/interface'
import { type Ping, type PingComponents, ping } from '@libp2p/ping'
import { gateOf, untilWritable } from '@postern/libp2p-utils'

/** How long one stream of pings may last, in ms; the same as in the library. */
const streamMs = 10_000

/**
 * Creates the ping service of libp2p with a handler that keeps at most one window in memory. The library's handler
 * reads into an unlimited buffer while the peer does not read the answers. Throws for a version without such a handler.
 */
export const boundedPing =
  () =>
  (components: PingComponents): Ping => {
    const service = ping()(components)
    if (!('handlePing' in service)) throw new Error('this version of @libp2p/ping is not known here')
    service.handlePing = echo
    return service
  }

/** Echoes the data of a stream until the peer ends it. Never rejects. */
async function echo(stream: Stream): Promise<void> {
  const gate = gateOf(stream)
  const over = new AbortController()
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const cut = (error: unknown): void => {
    stream.abort(error instanceof Error ? error : new Error(String(error)))
    end()
  }
  const timer = setTimeout(() => cut(new Error('the ping took too long')), streamMs)
  timer.unref()
  let isHeld = false
  stream.addEventListener('message', ({ data }) => {
    try {
      if (stream.send(data) || isHeld) return
    } catch (error) {
      return cut(error)
    }
    isHeld = true
    gate.hold()
    untilWritable(stream, over).then(() => {
      isHeld = false
      gate.release()
    }, cut)
  })
  stream.addEventListener('end', () => end())
  stream.addEventListener('close', () => end())
  await ended
  clearTimeout(timer)
  await stream.close().catch(cut)
  over.abort(new Error('the ping is over'))
}
