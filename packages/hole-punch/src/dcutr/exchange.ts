import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, type Clock, formatMultiaddr, natError, within } from '@postern/interface'
import { type Messages, messagesOf, openStream } from '@postern/libp2p-utils'
import type { Mapping } from '../nat/mapping.js'
import type { PunchPort } from '../nat/punch-ports.js'
import { dcutrProtocol, decodeMessage, encodeMessage, type Message, maxBytes } from './codec.js'

/** What one side sends before both dial each other. */
export interface Offer {
  readonly ports: readonly PunchPort[]
  readonly mapping: Mapping | undefined
  readonly birthday: boolean
}

/** What the other side has sent. */
export interface Told {
  /** Multiaddrs in bytes, as received. */
  readonly addresses: readonly Uint8Array[]
  readonly mapping: Mapping | undefined
  readonly birthday: boolean
}

/** The result of a round that this side has offered. */
export interface Agreed extends Told {
  /** The round-trip time between the two peers through the relay, in milliseconds. */
  readonly rttMs: number
}

/**
 * Time limit of an exchange (ms). The relayed path may be slow, and the other side may still be observing its ports.
 */
const exchangeMs = 10_000

/**
 * Begins a round. This is the part of the side that received the relayed connection: CONNECT, CONNECT and SYNC on a new
 * stream for each round. The caller must dial half a round trip after this resolves.
 *
 * Rejects with `UNSUPPORTED`, `NO_REPLY`, `REPLY_TOO_LARGE`, `MALFORMED_REPLY`, or with the signal's reason.
 */
export async function offerRound(relayed: Connection, offer: Offer, clock: Clock, call: CallOptions): Promise<Agreed> {
  return within(clock, exchangeMs, call, late, async ({ signal }) => {
    const stream = await openStream(relayed, dcutrProtocol, { signal, runOnLimitedConnection: true })
    return talk(stream, clock, { signal }, async (messages) => {
      const sentMs = clock.monotonicMs()
      await messages.write(connectOf(offer), { signal })
      const answer = decodeMessage(await messages.read({ signal }))
      const rttMs = clock.monotonicMs() - sentMs
      if (answer.kind !== 'connect') throw natError('MALFORMED_REPLY', 'SYNC where CONNECT was due')
      await messages.write(encodeMessage({ kind: 'sync' }), { signal })
      return { ...toldBy(answer), rttMs }
    })
  })
}

/**
 * Answers a round. This is the part of the side that dialled the relayed connection. The caller must dial immediately
 * after this resolves. Rejects as {@link offerRound} does.
 *
 * @param prepare - returns our offer; the other side counts the time that it takes as path delay
 */
export async function answerRound(
  stream: Stream,
  prepare: () => Promise<Offer>,
  clock: Clock,
  call: CallOptions
): Promise<Told> {
  return within(clock, exchangeMs, call, late, async ({ signal }) =>
    talk(stream, clock, { signal }, async (messages) => {
      const question = decodeMessage(await messages.read({ signal }))
      if (question.kind !== 'connect') throw natError('MALFORMED_REPLY', 'SYNC where CONNECT was due')
      await messages.write(connectOf(await prepare()), { signal })
      const answer = decodeMessage(await messages.read({ signal }))
      if (answer.kind !== 'sync') throw natError('MALFORMED_REPLY', 'CONNECT where SYNC was due')
      return toldBy(question)
    })
  )
}

/** Runs an exchange on a stream. Does not wait until the other side has closed its end. */
async function talk<T>(
  stream: Stream,
  clock: Clock,
  call: CallOptions,
  speak: (messages: Messages) => Promise<T>
): Promise<T> {
  const messages = messagesOf(stream, maxBytes, clock)
  try {
    const said = await speak(messages)
    void messages.finish(call)
    return said
  } catch (error) {
    messages.reset(new Error('the exchange failed'))
    throw error
  }
}

const connectOf = ({ ports, mapping, birthday }: Offer): Uint8Array =>
  encodeMessage({
    kind: 'connect',
    addresses: ports.map(({ external: { host, port } }) => multiaddr(formatMultiaddr(host, 'tcp', port)).bytes),
    mapping,
    birthday
  })

const toldBy = ({ addresses, mapping, birthday = false }: Extract<Message, { kind: 'connect' }>): Told => ({
  addresses,
  mapping,
  birthday
})

const late = (): Error => natError('NO_REPLY', `the peers did not agree on a round within ${exchangeMs} ms`)
