import type { Connection } from '@libp2p/interface'
import type { Clock } from '@postern/interface'
import { prefixesOf } from '@postern/net'

/** How many frames a peer may have processed. */
export interface FrameLimits {
  /** Small frames in a second, of an IP address (IPv6: a /64), a subnet (/24, /48) and a network (/16, /32). */
  readonly ip: number
  readonly subnet: number
  readonly network: number
  /** Streams that are opened within a second over one connection. */
  readonly streams: number
}

/** Bounds the time that small frames of peers take: one of 12 bytes costs as much as one that is full of data. */
export interface FrameBudget {
  /** Counts the frames of a connection. Calls `pause` with a time in ms where a prefix has had more than its share. */
  watch(connection: Connection, address: string, pause: (ms: number) => void): void
}

/** A frame that carries more has its bytes limited by the window of its stream. */
const smallBytes = 1024
/** What may come at once after a silence, in seconds of the rate. */
const burstSeconds = 2
const maxPauseMs = 60_000
/** Buckets that are full again are forgotten when there are more. */
const maxBuckets = 1024

const frame = { data: 0, ping: 2, syn: 1 } as const

interface Bucket {
  readonly rate: number
  left: number
  atMs: number
}

export function createFrameBudget(limits: FrameLimits, clock: Clock): FrameBudget {
  const buckets = new Map<string, Bucket>()

  function refill(bucket: Bucket, nowMs: number): void {
    const { rate, left, atMs } = bucket
    bucket.left = Math.min(rate * burstSeconds, left + ((nowMs - atMs) * rate) / 1000)
    bucket.atMs = nowMs
  }

  function forgetFull(nowMs: number): void {
    for (const [key, bucket] of buckets) {
      refill(bucket, nowMs)
      if (bucket.left >= bucket.rate * burstSeconds) buckets.delete(key)
    }
  }

  /** Returns how long it takes, in ms, until the bucket has something again. */
  function take(key: string, rate: number, nowMs: number): number {
    let bucket = buckets.get(key)
    if (bucket === undefined) {
      if (buckets.size >= maxBuckets) forgetFull(nowMs)
      bucket = { rate, left: rate * burstSeconds, atMs: nowMs }
      buckets.set(key, bucket)
    }
    refill(bucket, nowMs)
    bucket.left--
    return bucket.left >= 0 ? 0 : (-bucket.left * 1000) / rate
  }

  return {
    watch(connection, address, pause) {
      if (!('muxer' in connection) || !isMuxer(connection.muxer))
        throw new Error('this version of @chainsafe/libp2p-yamux is not known here')
      const { muxer } = connection
      const prefixes = prefixesOf(address)
      const handle = muxer.handleFrame.bind(muxer)
      let secondEndsMs = 0
      let opened = 0

      function countStream(nowMs: number): void {
        if (nowMs >= secondEndsMs) {
          secondEndsMs = nowMs + 1000
          opened = 0
        }
        // The multiplexer ends the connection then, and handles none of the frames that it has read already.
        if (++opened > limits.streams) throw new Error('the peer opens too many streams')
      }

      muxer.handleFrame = (received) => {
        const { type, flag, length } = received.header
        const nowMs = clock.monotonicMs()
        if (type !== frame.ping && (flag & frame.syn) !== 0) countStream(nowMs)
        if (prefixes !== undefined && (type !== frame.data || length < smallBytes)) {
          const waitMs = Math.max(
            take(`ip ${prefixes.ip}`, limits.ip, nowMs),
            take(`subnet ${prefixes.subnet}`, limits.subnet, nowMs),
            take(`network ${prefixes.network}`, limits.network, nowMs)
          )
          if (waitMs > 0) pause(Math.min(waitMs, maxPauseMs))
        }
        handle(received)
      }
    }
  }
}

interface Muxer {
  handleFrame(received: {
    readonly header: { readonly type: number; readonly flag: number; readonly length: number }
  }): void
}

/** The method is not in its interface; the version is pinned, and a test holds it. */
const isMuxer = (muxer: unknown): muxer is Muxer =>
  typeof muxer === 'object' && muxer !== null && 'handleFrame' in muxer && typeof muxer.handleFrame === 'function'
