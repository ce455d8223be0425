import type { Connection, Stream } from '@libp2p/interface'
import { createPlaces, type Party, type PlaceLimits, type PlaceRefusal } from '@postern/net'
import { onStream } from './connection-streams.js'
import { hasEnded } from './stream-end.js'

/** Bounds the streams that peers open, by prefix. */
export interface StreamPlaces {
  /** Streams that have a place. */
  readonly used: number
  /** Gives each stream that the peer opens over a connection a place, or aborts it. */
  watch(connection: Connection, party: Party): void
}

export function createStreamPlaces(limits: PlaceLimits, refused: (refusal: PlaceRefusal) => void): StreamPlaces {
  const places = createPlaces<Stream>(limits)
  return {
    get used() {
      return places.used
    },
    watch(connection, party) {
      const held = new Set<Stream>()
      let isOver = hasEnded(connection)
      const free = (stream: Stream): void => {
        held.delete(stream)
        places.free(stream)
      }
      // A stream may end without a word when its connection does.
      connection.addEventListener(
        'close',
        () => {
          isOver = true
          for (const stream of held) free(stream)
        },
        { once: true }
      )
      onStream(connection, (stream) => {
        // Streams that came before the connection was announced may have ended, and have told so already.
        if (isOver || hasEnded(stream)) return
        const refusal = places.take(stream, party)
        if (refusal !== undefined) {
          refused(refusal)
          stream.abort(new Error('too many streams'))
          return
        }
        held.add(stream)
        stream.addEventListener('close', () => free(stream), { once: true })
      })
    }
  }
}
