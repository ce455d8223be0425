import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, type Clock, formatMultiaddr, natError } from '@postern/interface'
import { type Messages, messagesOf, openStream } from '@postern/messages'
import { within } from '@postern/net'
import { dcutrProtocol, decodeMessage, encodeMessage, type Message, mostBytes } from './codec.js'
import type { Mapping } from './mapping.js'
import type { PunchPort } from './ports.js'

/** What one side tells the other before they dial each other. */
export interface Offer {
  readonly ports: readonly PunchPort[]
  readonly mapping: Mapping | undefined
  readonly birthday: boolean
}

/** What the other side told. */
export interface Told {
  /** Multiaddrs in bytes, as they came. */
  readonly addresses: readonly Uint8Array[]
  readonly mapping: Mapping | undefined
  readonly birthday: boolean
}

export interface Agreed extends Told {
  /** Between the two peers, through the relay, in ms. */
  readonly rttMs: number
}

/** A relayed path is slow at worst, and the other side may still show its ports to its observers, in ms. */
const exchangeMs = 10_000

/**
 * The side that the relayed connection came to begins: CONNECT, CONNECT, SYNC on a stream of its own for each round. It has
 * to dial half a round trip after this has resolved.
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
 * The side that dialled the relayed connection answers, and has to dial at once when this has resolved.
 *
 * @param prepare - what is offered in return; the time that it takes the other side counts as the way
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

/** What is said is said at once: neither side waits here until the other has closed its end. */
async function talk<T>(
  stream: Stream,
  clock: Clock,
  call: CallOptions,
  speak: (messages: Messages) => Promise<T>
): Promise<T> {
  const messages = messagesOf(stream, mostBytes, clock)
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

const late = (): Error => natError('NO_REPLY', `no agreement within ${exchangeMs} ms`)
