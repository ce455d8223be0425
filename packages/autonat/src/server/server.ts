import type { Connection, Startable, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, natError, within } from '@postern/interface'
import { directRoute, type Messages, messagesOf, type Route } from '@postern/libp2p-utils'
import {
  decodeMessage,
  dialRequestProtocol,
  dialStatus,
  encodeMessage,
  maxDataBytes,
  responseStatus
} from '../wire/v2.js'
import { type Choice, findChoice } from './choose-address.js'
import { dialBack, encodeVerdict, refused, rejected, type Verdict } from './dial-back.js'
import { type Admitted, createLimits, type LimitRefusal } from './limits.js'
import { type AutonatServerInit, readServerInit, type ServerSettings } from './options.js'
import { createTally, createTurns } from './turns.js'
import type { AutonatServerComponents } from './types.js'

/** Counters of the server since it was created. */
export interface AutonatServerCounters {
  /** Request streams that peers opened. */
  requests: number
  /** Answered with E_REQUEST_REJECTED: too many, malformed, too slow, or relayed. */
  rejected: number
  /** Answered with E_DIAL_REFUSED: the server is not willing to dial any address of the request. */
  refused: number
  /** Answered with E_INTERNAL_ERROR. */
  failed: number
  /** Dials that the server started. */
  dials: number
  /** Answered with OK and dial status OK: the address was dialled and the nonce was delivered. */
  reached: number
  /** Answered with E_DIAL_ERROR. */
  dialErrors: number
  /** Answered with E_DIAL_BACK_ERROR. */
  dialBackErrors: number
  /** Received bytes of dial data. */
  dialDataBytes: number
}

/** The libp2p service of an AutoNAT v2 server. */
export interface AutonatServer extends Startable {
  /** The counters since the server was created. */
  readonly counters: Readonly<AutonatServerCounters>
  /** How many requests each limit rejected; see {@link LimitRefusal} for the names. */
  readonly limited: Readonly<Partial<Record<LimitRefusal, number>>>
  /** Returns whether the server is working on a request that came over this connection. */
  isServing(connection: Connection): boolean
}

/** Fifty addresses are well below this size. */
const maxBytes = 8192
/** Enough for all the dial data of a request, since a peer may send it faster than the server reads it. */
const maxBuffered = 262_144
/** The most dial data that a server asks for: twice the upper end of the range in the spec ("30k to 100k bytes"). */
const maxDialData = 200_000
/** How long a peer may take to send its request, in milliseconds, and then its dial data. It holds its place for both. */
const requestMs = 5_000
const dialDataMs = 15_000
/** How long a peer may take to read the response, in milliseconds. */
const answerMs = 5_000
/** Honest peers send 4096 bytes in a message. Messages of fewer than 64 bytes only keep this node busy. */
const minDataBytes = 64

/**
 * Creates an AutoNAT v2 server (libp2p/specs autonat/autonat-v2.md). For each request, the server dials the first
 * address that it is willing to dial, with a new connection, delivers the nonce, and answers once.
 *
 * Use it as a libp2p service: `createLibp2p({ services: { autonat: autonatServer() } })`. Throws a TypeError for an
 * invalid option. `start` rejects with libp2p's error if another service handles the protocol.
 */
export function autonatServer(init: AutonatServerInit = {}): (components: AutonatServerComponents) => AutonatServer {
  const settings = readServerInit(init)
  return (components) => createServer(components, settings)
}

function createServer(components: AutonatServerComponents, settings: ServerSettings): AutonatServer {
  const { clock } = settings
  const limits = createLimits(settings)
  const limited: Partial<Record<LimitRefusal, number>> = {}
  const working = new Set<Promise<void>>()
  const serving = createTally<string>()
  const turns = createTurns()
  const counters: AutonatServerCounters = {
    requests: 0,
    rejected: 0,
    refused: 0,
    failed: 0,
    dials: 0,
    reached: 0,
    dialErrors: 0,
    dialBackErrors: 0,
    dialDataBytes: 0
  }
  let running: AbortController | undefined

  async function serve(stream: Stream, connection: Connection, call: CallOptions): Promise<void> {
    counters.requests += 1
    const from = directRoute(connection)
    const givenUp = new AbortController()
    const peer = connection.remotePeer.toString()
    const decision =
      from &&
      limits.admit({ address: from.host, peer }, () =>
        givenUp.abort(new Error('the request was evicted for another peer'))
      )
    const admitted = typeof decision === 'object' ? decision : undefined
    const messages = messagesOf(stream, maxBytes, clock, admitted && maxBuffered)
    const reset = (): void => messages.reset(new Error('the server stops, or the request was evicted'))
    const signal = anySignal([call.signal, givenUp.signal])
    signal.addEventListener('abort', reset, { once: true })
    if (admitted) serving.add(connection.id)
    try {
      const answer =
        from && admitted ? await work(messages, connection, from, admitted, { signal }) : turnedAway(decision)
      await respond(messages, answer, { signal })
    } catch (error) {
      messages.reset(error instanceof Error ? error : new Error(String(error)))
    } finally {
      if (admitted) serving.remove(connection.id)
      admitted?.leave()
      signal.removeEventListener('abort', reset)
    }
  }

  /** Counts the limit that rejected the request. A relayed peer is rejected without a limit. */
  function turnedAway(refusal: LimitRefusal | Admitted | undefined): Verdict {
    if (typeof refusal === 'string') limited[refusal] = (limited[refusal] ?? 0) + 1
    return rejected
  }

  async function work(
    messages: Messages,
    connection: Connection,
    from: Route,
    admitted: Admitted,
    call: CallOptions
  ): Promise<Answer> {
    const late = (): Error => natError('NO_REPLY', 'the peer sent no request in time')
    const request = await within(clock, requestMs, call, late, async (bounded) =>
      decodeMessage(await messages.read(bounded))
    ).catch(() => undefined)
    call.signal.throwIfAborted()
    if (request?.kind !== 'dial-request') return rejected
    const choice = findChoice(request.addresses, connection.remotePeer, components, settings)
    if (choice === undefined) return refused
    const refusal = admitted.findRefusal()
    if (refusal !== undefined) return turnedAway(refusal)
    // "If this selected address has an IP address different from the requesting node's observed IP address"
    if (choice.route.host !== from.host && !(await isPaidFor(messages, choice, call))) return rejected
    const spent = admitted.takeDial()
    if (spent !== undefined) return turnedAway(spent)
    // libp2p merges concurrent dials to one peer, so a second request would get the connection of the first.
    return turns(connection.remotePeer.toString(), call, async () => {
      counters.dials += 1
      return { ...(await dialBack(choice, request.nonce, components, settings, call)), index: choice.index }
    })
  }

  /**
   * Requests dial data and resolves with whether it arrived. Without it, a peer could have others flooded at no cost.
   */
  async function isPaidFor(messages: Messages, { index }: Choice, call: CallOptions): Promise<boolean> {
    const wanted = Math.min(settings.dialDataBytes(), maxDialData)
    const maxMessages = Math.ceil(wanted / minDataBytes)
    const late = (): Error => natError('NO_REPLY', 'the dial data did not arrive in time')
    try {
      await within(clock, dialDataMs, call, late, async (bounded) => {
        await messages.write(encodeMessage({ kind: 'dial-data-request', index, bytes: BigInt(wanted) }), bounded)
        let received = 0
        for (let count = 0; received < wanted; count += 1) {
          const message = decodeMessage(await messages.read(bounded))
          if (message.kind !== 'dial-data-response' || message.data.length > maxDataBytes || count > maxMessages) {
            throw natError('MALFORMED_REPLY', 'the message is not valid dial data')
          }
          received += message.data.length
          counters.dialDataBytes += message.data.length
        }
      })
      return true
    } catch {
      call.signal.throwIfAborted()
      return false
    }
  }

  async function respond(messages: Messages, { index = 0, ...verdict }: Answer, call: CallOptions): Promise<void> {
    counters[counterOf(verdict)] += 1
    const late = (): Error => natError('NO_REPLY', 'the peer did not read the response in time')
    await within(clock, answerMs, call, late, async (bounded) => {
      await messages.write(encodeVerdict(verdict, index), bounded)
      await messages.finish(bounded)
    })
  }

  return {
    counters,
    limited,
    isServing: ({ id }) => serving.has(id),
    async start() {
      if (running !== undefined) return
      const stopping = new AbortController()
      running = stopping
      const handler = (stream: Stream, connection: Connection): void => {
        const answering = serve(stream, connection, stopping).finally(() => working.delete(answering))
        working.add(answering)
      }
      try {
        await components.registrar.handle(dialRequestProtocol, handler, { maxInboundStreams: 4, maxOutboundStreams: 4 })
      } catch (error) {
        running = undefined
        throw error
      }
    },
    async stop() {
      if (running === undefined) return
      running.abort(new Error('the server stops'))
      running = undefined
      await components.registrar.unhandle(dialRequestProtocol)
      await Promise.allSettled(working)
    }
  }
}

type Answer = Verdict & { readonly index?: number }

function counterOf({ status, dialStatus: dialled }: Verdict): keyof AutonatServerCounters {
  if (status === responseStatus.requestRejected) return 'rejected'
  if (status === responseStatus.dialRefused) return 'refused'
  if (status !== responseStatus.ok) return 'failed'
  if (dialled === dialStatus.ok) return 'reached'
  return dialled === dialStatus.dialError ? 'dialErrors' : 'dialBackErrors'
}
