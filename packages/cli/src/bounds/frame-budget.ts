import type { Connection } from '@libp2p/interface'
import type { Clock } from '@postern/interface'
import { type Prefixes, prefixesOf } from '@postern/net'

/** The maximum number of frames that are processed for peers. */
export interface FrameLimits {
  /** Small frames in a second, from an IP address (IPv6: a /64), a subnet (/24, /48) and a network (/16, /32). */
  readonly ip: number
  readonly subnet: number
  readonly network: number
  /** Streams that are opened in a second over one connection. */
  readonly streams: number
}

/**
 * Limits the time for small frames of peers: a frame of 12 bytes costs as much time as one that is full of data.
 *
 * Data that was read from a socket must be processed, so an address can exceed its share for a moment. The address
 * alone pays for the excess, with a pause. Its subnet and its network are charged only for the share, which is never
 * more than what is free in the enclosing prefix: one address gets at most half of the rate of a subnet, two get at
 * most a third each.
 */
export interface FrameBudget {
  /** Counts the frames of a connection. Calls `pause` with a time in ms if its address has exceeded its share. */
  watch(connection: Connection, address: string, pause: (ms: number) => void): void
  /** Returns how long not to read from a new socket of the address, in ms. */
  waitMs(address: string): number
}

/** The size below which a frame counts as small. The window of the stream limits larger ones. */
const smallBytes = 1024
/** The burst after a silence, in seconds of the rate. */
const burstSeconds = 2
const maxPauseMs = 60_000
/** Above this number of prefixes, idle ones are forgotten. Forgetting looks at all of them, so it is not done earlier. */
const maxPrefixes = 1024

const frame = { data: 0, ping: 2, syn: 1 } as const

/** The frame counts of a prefix. */
interface Share {
  readonly rate: number
  readonly capacity: number
  /** The frames within the shares. It decays like those of the prefixes inside, so it is always their sum. */
  used: number
  /** The frames beyond the shares, reduced by the rate over time. */
  beyond: number
  atMs: number
}

/** The account of an IP address. */
interface Account {
  readonly share: Share
  /** The number of frames that it may still send; if negative, the number that it pays for with a pause. */
  left: number
  atMs: number
}

/** Creates a frame budget. */
export function createFrameBudget(limits: FrameLimits, clock: Clock): FrameBudget {
  const accounts = new Map<string, Account>()
  const shares = new Map<string, Share>()
  const burst = limits.ip * burstSeconds

  function decay(share: Share, nowMs: number): Share {
    const seconds = (nowMs - share.atMs) / 1000
    share.used *= Math.exp(-seconds / burstSeconds)
    share.beyond = Math.max(0, share.beyond - seconds * share.rate)
    share.atMs = nowMs
    return share
  }

  function refill(account: Account, nowMs: number): Account {
    account.left = Math.min(burst, account.left + ((nowMs - account.atMs) * limits.ip) / 1000)
    account.atMs = nowMs
    decay(account.share, nowMs)
    return account
  }

  const newShare = (rate: number, nowMs: number): Share => ({
    rate,
    capacity: rate * burstSeconds,
    used: 0,
    beyond: 0,
    atMs: nowMs
  })

  function shareOf(key: string, rate: number, nowMs: number): Share {
    const known = shares.get(key)
    if (known !== undefined) return decay(known, nowMs)
    if (shares.size >= maxPrefixes) {
      for (const [each, share] of shares) if (isIdle(decay(share, nowMs))) shares.delete(each)
    }
    const share = newShare(rate, nowMs)
    shares.set(key, share)
    return share
  }

  function accountOf(key: string, nowMs: number): Account {
    const known = accounts.get(key)
    if (known !== undefined) return refill(known, nowMs)
    if (accounts.size >= maxPrefixes) {
      for (const [each, account] of accounts) {
        const { left, share } = refill(account, nowMs)
        if (left >= burst && isIdle(share)) accounts.delete(each)
      }
    }
    const account = { share: newShare(limits.ip, nowMs), left: burst, atMs: nowMs }
    accounts.set(key, account)
    return account
  }

  /** Counts a frame. Returns how long the address must wait, in ms. */
  function take({ ip, subnet, network }: Prefixes, nowMs: number): number {
    const account = accountOf(ip, nowMs)
    const inner = account.share
    const middle = shareOf(`subnet ${subnet}`, limits.subnet, nowMs)
    const outer = shareOf(`network ${network}`, limits.network, nowMs)
    const isFree = inner.used + 1 <= middle.capacity - middle.used && middle.used + 1 <= outer.capacity - outer.used
    if (account.left >= 1 && isFree) {
      account.left--
      for (const share of [inner, middle, outer]) share.used++
      return 0
    }
    for (const share of [middle, outer]) share.beyond = Math.min(share.beyond + 1, (maxPauseMs * share.rate) / 1000)
    // The more addresses of a prefix exceed their share, the longer each waits, so that together they do not exceed its
    // rate.
    const price = 1 + Math.max(middle.beyond / middle.capacity, outer.beyond / outer.capacity)
    account.left = Math.max(Math.min(account.left, 0) - price, (-maxPauseMs * limits.ip) / 1000)
    return (-account.left * 1000) / limits.ip
  }

  return {
    watch(connection, address, pause) {
      if (!('muxer' in connection) || !isMuxer(connection.muxer))
        throw new Error('this version of @libp2p/yamux is not known here')
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
        // The error makes the multiplexer close the connection and drop the frames that it has already read.
        if (++opened > limits.streams) throw new Error('the peer opens too many streams')
      }

      muxer.handleFrame = (received) => {
        const { type, flag, length } = received.header
        const nowMs = clock.monotonicMs()
        if (type !== frame.ping && (flag & frame.syn) !== 0) countStream(nowMs)
        if (prefixes !== undefined && (type !== frame.data || length < smallBytes)) {
          const waitMs = take(prefixes, nowMs)
          if (waitMs > 0) pause(waitMs)
        }
        handle(received)
      }
    },
    waitMs(address) {
      const account = accounts.get(prefixesOf(address)?.ip ?? '')
      if (account === undefined) return 0
      return Math.max(0, (-refill(account, clock.monotonicMs()).left * 1000) / limits.ip)
    }
  }
}

const isIdle = ({ used, beyond }: Share): boolean => used < 1 && beyond === 0

interface Muxer {
  handleFrame(received: {
    readonly header: { readonly type: number; readonly flag: number; readonly length: number }
  }): void
}

/** Returns whether a muxer has the method. It is not in the public interface; the version is pinned, and a test checks
 * this. */
const isMuxer = (muxer: unknown): muxer is Muxer =>
  typeof muxer === 'object' && muxer !== null && 'handleFrame' in muxer && typeof muxer.handleFrame === 'function'
