import { type CallOptions, type Clock, type Endpoint, natError } from '@postern/interface'
import { type OpenUdp, type OwnTap, openTap } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import { answers, askServer, isSame, newId, readAnswer } from './ask.js'
import { encodeBindingRequest } from './codec.js'

/** The options of {@link discoverLifetime}. */
export interface LifetimeOptions {
  /** The clock for the waits. */
  readonly clock: Clock
  /** A server that supports RESPONSE-PORT (RFC 5780 §7.5). */
  readonly server: StunAddress
  /** The local address to send from. */
  readonly address: Endpoint['address']
  /** The family of `address`. */
  readonly family: Endpoint['family']
  /** The maximum lifetime to test, in ms.
   * @default 300_000 */
  readonly maxMs?: number
  /** The precision of the result, in ms.
   * @default 10_000 */
  readonly precisionMs?: number
  /** Opens UDP sockets.
   * @default real sockets */
  readonly openUdp?: OpenUdp
}

/** How long the NAT keeps an unused mapping. */
export interface MappingLifetime {
  /** The longest time after which the mapping still existed, in ms. */
  readonly atLeastMs: number
  /** The shortest time after which it was gone, in ms; `Infinity` if it outlasted the longest test. */
  readonly lessThanMs: number
}

/** The waits after each of three transmissions, in ms: longer than an answer takes. */
const waitsMs: readonly number[] = [500, 1000, 1500]

/**
 * Finds out how long a UDP mapping lasts without traffic (RFC 5780 §4.6). Takes the sum of all tested times, which is
 * some minutes.
 *
 * Rejects with `UNSUPPORTED` if the server does not answer to another port, or like {@link askServer}.
 */
export async function discoverLifetime(options: LifetimeOptions, call: CallOptions): Promise<MappingLifetime> {
  const { maxMs = 300_000, precisionMs = 10_000, server } = options
  if (!(await outlasts(options, 0, call)))
    throw natError('UNSUPPORTED', `the STUN server ${server.address} does not answer to another port`)
  let [atLeastMs, lessThanMs] = [0, Number.POSITIVE_INFINITY]
  let tryMs = maxMs
  while (tryMs - atLeastMs > 0) {
    if (await outlasts(options, tryMs, call)) atLeastMs = tryMs
    else lessThanMs = tryMs
    if (lessThanMs - atLeastMs <= precisionMs || atLeastMs === maxMs) break
    tryMs = Math.round((atLeastMs + lessThanMs) / 2)
  }
  return { atLeastMs, lessThanMs }
}

/** Resolves to whether a fresh mapping still exists after `ms`: a second socket asks the server to answer to the first
 * one's port. */
async function outlasts(options: LifetimeOptions, ms: number, call: CallOptions): Promise<boolean> {
  const { clock, server, openUdp, family, address } = options
  const taps: OwnTap[] = []
  const open = async (): Promise<OwnTap> => {
    const tap = await openTap({ family, address, ...(openUdp === undefined ? {} : { open: openUdp }) }, call)
    taps.push(tap)
    return tap
  }
  try {
    const first = await open()
    const { mapped } = await askServer({ clock, tap: first, server, waitsMs }, call)
    await clock.sleep(ms, call)
    return await arrives(first, await open(), mapped.port, options, call)
  } finally {
    for (const tap of taps) tap.close()
  }
}

async function arrives(
  first: OwnTap,
  second: OwnTap,
  responsePort: number,
  { clock, server }: LifetimeOptions,
  { signal }: CallOptions
): Promise<boolean> {
  const id = newId()
  const over = new AbortController()
  const outcome = Promise.withResolvers<boolean>()
  const stop = (): void => over.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  first.receive((bytes, from) => {
    if (isSame(from, server) && answers(bytes, id)) outcome.resolve(true)
  }, over)
  second.receive((bytes, from) => {
    if (!isSame(from, server) || !answers(bytes, id)) return
    try {
      // A success here means that the server ignored the port; an error means that it does not support it.
      if (readAnswer(bytes) !== undefined) outcome.resolve(false)
    } catch (error) {
      outcome.reject(error)
    }
  }, over)
  const sendings = async (): Promise<boolean> => {
    for (const waitMs of waitsMs) {
      second.send(encodeBindingRequest({ id, responsePort }), server)
      await clock.sleep(waitMs, over)
    }
    return false
  }
  try {
    return await Promise.race([outcome.promise, sendings()])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
    over.abort(new Error('it was tried'))
  }
}
