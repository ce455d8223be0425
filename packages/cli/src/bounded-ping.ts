import type { Stream } from '@libp2p/interface'
import { ping, type Ping, type PingComponents } from '@libp2p/ping'
import { gateOf, untilWritable } from '@postern/messages'

/** How long one stream of pings may last, in ms: as long as with the library. */
const streamMs = 10_000

/**
 * The ping service of libp2p, whose answers keep no more in memory than a window: the library's handler reads a stream into a
 * buffer without a bound while the peer does not read what it is sent. Throws for a version that has no such handler.
 */
export const boundedPing =
  () =>
  (components: PingComponents): Ping => {
    const service = ping()(components)
    if (!('handlePing' in service)) throw new Error('this version of @libp2p/ping is not known here')
    service.handlePing = echo
    return service
  }

/** Sends back what comes, until the peer has no more. Never rejects. */
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
