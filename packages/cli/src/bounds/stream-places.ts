import type { Connection, Stream } from '@libp2p/interface'
import { hasEnded } from '@postern/libp2p-utils'
import { createPlaces, type PlaceLimits, type PlaceRefusal, type RemoteParty } from '@postern/net'
import { onStream } from './connection-streams.js'

/** Limits the streams that peers open, by address prefix. */
export interface StreamPlaces {
  /** The number of streams with a place. */
  readonly used: number
  /** Takes a place for each stream that the peer opens over a connection, or aborts the stream. */
  watch(connection: Connection, party: RemoteParty): void
}

/** Creates the places. Calls `refused` for each stream without a place. */
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
      // A stream may end without an event when its connection closes.
      connection.addEventListener(
        'close',
        () => {
          isOver = true
          for (const stream of held) free(stream)
        },
        { once: true }
      )
      onStream(connection, (stream) => {
        // A stream that was opened before `connection:open` may have ended already.
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
