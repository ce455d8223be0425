import type { Connection } from '@libp2p/interface'
import { type CallOptions, type Clock, isNatError, printable, within } from '@postern/interface'
import { isDirect } from '@postern/libp2p-utils'
import { late } from '../../shared/late.js'
import { reasonOf } from '../../shared/libp2p-stack.js'

/** The answer to one ping, or why there is none. */
export type Pinged =
  | {
      readonly event: 'pong'
      /** The number of the ping, from 1. */
      readonly ping: number
      readonly via: 'direct' | 'relayed'
      /** The multiaddr of the peer; with `relayed` that of the relay. */
      readonly address: string
      /** The round-trip time, in ms with three decimals. */
      readonly rttMs: number
    }
  | { readonly event: 'no-answer'; readonly ping: number; readonly code: string | null; readonly message: string }

/** What {@link pingUntil} uses to reach the peer. */
export interface Way {
  /** Returns the open connections to the peer, the direct ones first. */
  readonly open: () => readonly Connection[]
  /** Connects to the peer. */
  readonly dial: (call: CallOptions) => Promise<Connection>
  /** Pings over one connection. Resolves to the round-trip time in ms. */
  readonly ping: (connection: Connection, call: CallOptions) => Promise<number>
}

/** The options of {@link pingUntil}. */
export interface PingUntilOptions {
  /** The maximum number of pings. */
  readonly count: number
  /** The pause after each ping, in ms. */
  readonly intervalMs: number
  /** Whether to end with the first answer over a direct connection. */
  readonly untilDirect: boolean
  /** Is called for each ping. */
  readonly told: (pinged: Pinged) => void
}

/** The time limit for connecting to the peer, in ms, through several relays and at several addresses. */
const connectMs = 15_000
/** The time limit for one answer, in ms. A connection without an answer by then counts as dead, and is closed. */
const answerMs = 5000

/**
 * Pings a peer until an answer comes over a direct connection, until `count` pings were sent, or until the signal aborts.
 * A peer that is not connected is dialled before each ping. Resolves to every answer and failure; never rejects.
 */
export async function pingUntil(
  way: Way,
  { count, intervalMs, untilDirect, told }: PingUntilOptions,
  { clock, signal }: CallOptions & { readonly clock: Clock }
): Promise<readonly Pinged[]> {
  const all: Pinged[] = []
  for (let number = 1; number <= count && !signal.aborted; number++) {
    if (number > 1) await clock.sleep(intervalMs, { signal }).catch(() => undefined)
    const pinged = signal.aborted ? undefined : await pingOnce(way, number, { clock, signal })
    if (pinged === undefined) break
    all.push(pinged)
    told(pinged)
    if (untilDirect && pinged.event === 'pong' && pinged.via === 'direct') break
    // Further pings would fail in the same way.
    if (pinged.event === 'no-answer' && pinged.code === 'UNSUPPORTED') break
  }
  return all
}

/** Resolves to undefined if the signal aborts. */
async function pingOnce(
  { open, dial, ping }: Way,
  number: number,
  { clock, signal }: CallOptions & { readonly clock: Clock }
): Promise<Pinged | undefined> {
  let used: Connection | undefined
  try {
    used = open()[0] ?? (await within(clock, connectMs, { signal }, late, dial))
    const connection = used
    const rttMs = await within(clock, answerMs, { signal }, late, (call) => ping(connection, call))
    const via = isDirect(connection) ? 'direct' : 'relayed'
    return { event: 'pong', ping: number, via, address: placeOf(connection, via), rttMs: rounded(rttMs) }
  } catch (error) {
    if (signal.aborted) return undefined
    const code = isNatError(error) ? error.code : null
    // The peer may have restarted, or lost its address: the next ping dials it again.
    if (code !== 'UNSUPPORTED') used?.abort(error instanceof Error ? error : new Error(String(error)))
    return { event: 'no-answer', ping: number, code, message: reasonOf(error) }
  }
}

/** Returns the address of the peer, or of the relay that the connection leads through. */
function placeOf({ remoteAddr }: Connection, via: 'direct' | 'relayed'): string {
  const text = remoteAddr.toString()
  return printable(via === 'relayed' ? text.replace(/\/p2p-circuit.*$/, '') : text)
}

const rounded = (ms: number): number => Math.round(ms * 1000) / 1000
