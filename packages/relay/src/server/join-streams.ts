import type { Stream } from '@libp2p/interface'
import { gateOf, untilWritable } from '@postern/libp2p-utils'

/** The options of {@link joinStreams}. */
export interface JoinOptions {
  /** The maximum number of bytes, in both directions together; undefined for no limit. */
  readonly maxBytes: number | undefined
  /** Called whenever bytes arrive. */
  readonly moved: () => void
  /** Called once, when both streams have ended or one was reset. */
  readonly ended: () => void
}

/**
 * Carries the bytes of each stream to the other, until both have ended. If one is reset, the other is reset too.
 *
 * A slow reader slows the sender down: one stream is paused while the other cannot send, so a circuit keeps at most the
 * windows of its two streams in memory.
 */
export function joinStreams(one: Stream, other: Stream, { maxBytes, moved, ended }: JoinOptions): void {
  const over = new AbortController()
  let leftBytes = maxBytes ?? Number.POSITIVE_INFINITY
  let open = 2

  function cut(error: Error): void {
    if (over.signal.aborted) return
    over.abort(error)
    one.abort(error)
    other.abort(error)
    ended()
  }

  function carry(from: Stream, to: Stream): void {
    const gate = gateOf(from)
    let isHeld = false
    from.addEventListener('message', ({ data }) => {
      if (over.signal.aborted) return
      leftBytes -= data.byteLength
      moved()
      if (leftBytes < 0) return cut(new Error(`more than the ${maxBytes} bytes of a circuit`))
      try {
        if (to.send(data) || isHeld) return
        isHeld = true
        gate.hold()
      } catch (error) {
        return cut(asError(error))
      }
      const goOn = (): void => {
        isHeld = false
        gate.release()
      }
      untilWritable(to, over)
        .then(goOn)
        .catch((error: unknown) => cut(asError(error)))
    })
    // By now all data of the sender was forwarded, including the data that waited while it was paused.
    from.addEventListener('end', () => {
      if (over.signal.aborted) return
      to.close(over)
        .then(() => {
          open -= 1
          if (open > 0 || over.signal.aborted) return
          over.abort(new Error('the circuit has ended'))
          ended()
        })
        .catch((error: unknown) => cut(asError(error)))
    })
    from.addEventListener('close', ({ error }) => {
      if (error !== undefined) cut(error)
    })
    if (from.status === 'aborted' || from.status === 'reset') cut(new Error('a stream of the circuit was reset'))
    else gate.release()
  }

  carry(one, other)
  carry(other, one)
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
