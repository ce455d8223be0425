import type { Connection, Stream } from '@libp2p/interface'
import { describe, expect, it } from 'vitest'
import { createStreamPlaces } from '../../src/bounds/stream-places.js'

const party = { address: '11.0.0.1', peer: 'peer' }

interface Ends extends EventTarget {
  status: string
  abort(): void
}

/** A stream or a connection that emits `close` once, like those of libp2p. */
const ends = (): Ends =>
  Object.assign(new EventTarget(), {
    status: 'open',
    abort(this: Ends) {
      this.status = 'aborted'
      this.dispatchEvent(new Event('close'))
    }
  })

function scene(total = 10) {
  const refusals: string[] = []
  const places = createStreamPlaces({ total }, (refusal) => refusals.push(refusal))
  const muxer = Object.assign(new EventTarget(), { streams: [] })
  const connection = Object.assign(ends(), { muxer })
  return {
    places,
    refusals,
    connection,
    watch: () => places.watch(connection as unknown as Connection, party),
    opens(stream = ends()) {
      muxer.dispatchEvent(new CustomEvent<Stream>('stream', { detail: stream as unknown as Stream }))
      return stream
    }
  }
}

describe('places of streams', () => {
  it('the place of a stream is given back when it ends', () => {
    const { places, watch, opens } = scene()
    watch()
    const [one] = [opens(), opens()]
    expect(places.used).toBe(2)
    one.abort()
    expect(places.used).toBe(1)
  })

  it('a stream that had ended before it was reported takes no place', () => {
    const { places, watch, opens } = scene()
    watch()
    const early = ends()
    early.abort()
    opens(early)
    expect(places.used).toBe(0)
  })

  it('the places of streams are given back when the connection closes', () => {
    const { places, connection, watch, opens } = scene()
    watch()
    opens()
    opens()
    connection.abort()
    expect(places.used).toBe(0)
    opens()
    expect(places.used).toBe(0)
  })

  it('streams of a connection that had closed before it was reported take no place', () => {
    const { places, connection, watch, opens } = scene()
    connection.abort()
    watch()
    opens()
    expect(places.used).toBe(0)
  })

  it('a stream beyond the limit is aborted', () => {
    const { places, refusals, watch, opens } = scene(1)
    watch()
    opens()
    expect(opens().status).toBe('aborted')
    expect({ used: places.used, refusals }).toEqual({ used: 1, refusals: ['total'] })
  })
})
