import { type CallOptions, type Clock, type Endpoint, natError } from '@postern/interface'
import { type OpenUdp, openTap, type OwnTap } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import { answers, askServer, isSame, newId, readAnswer } from './ask.js'
import { encodeBindingRequest } from './codec.js'

export interface LifetimeOptions {
  readonly clock: Clock
  /** A server that knows RESPONSE-PORT (RFC 5780 §7.5). */
  readonly server: StunAddress
  /** Our own address. */
  readonly address: Endpoint['address']
  readonly family: Endpoint['family']
  /** Nothing longer is tried, in ms.
   * @default 300_000 */
  readonly mostMs?: number
  /** How exactly it is found out, in ms.
   * @default 10_000 */
  readonly precisionMs?: number
  /** @default real sockets */
  readonly openUdp?: OpenUdp
}

/** How long the NAT remembers a mapping that is not used. */
export interface MappingLifetime {
  readonly atLeastMs: number
  /** `Infinity` where it outlasted everything that was tried. */
  readonly lessThanMs: number
}

/** Longer than an answer takes; each question is sent three times. */
const waitsMs: readonly number[] = [500, 1000, 1500]

/**
 * Finds out how long a UDP mapping lives without being used (RFC 5780 §4.6). For whoever asks: it takes the sum of the
 * times that are tried, some minutes. Nothing in this project does it unasked.
 *
 * Rejects with `UNSUPPORTED` where the server does not answer to another port, or as {@link askServer} does.
 */
export async function discoverLifetime(options: LifetimeOptions, call: CallOptions): Promise<MappingLifetime> {
  const { mostMs = 300_000, precisionMs = 10_000, server } = options
  if (!(await outlasts(options, 0, call)))
    throw natError('UNSUPPORTED', `the STUN server ${server.address} does not answer to another port`)
  let [atLeastMs, lessThanMs] = [0, Number.POSITIVE_INFINITY]
  let tryMs = mostMs
  while (tryMs - atLeastMs > 0) {
    if (await outlasts(options, tryMs, call)) atLeastMs = tryMs
    else lessThanMs = tryMs
    if (lessThanMs - atLeastMs <= precisionMs || atLeastMs === mostMs) break
    tryMs = Math.round((atLeastMs + lessThanMs) / 2)
  }
  return { atLeastMs, lessThanMs }
}

/** Whether a fresh mapping lives after so long: a second socket has the server answer to the first one's port. */
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
      // An answer here is one that ignored the port; an error says that it does not know it.
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
