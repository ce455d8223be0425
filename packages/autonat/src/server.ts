import type { Connection, Startable, Stream } from '@libp2p/interface'
import type { AddressManager, ConnectionManager, Registrar, TransportManager } from '@libp2p/interface-internal'
import { type CallOptions, natError } from '@postern/interface'
import { type Messages, messagesOf } from '@postern/messages'
import { within } from '@postern/net'
import {
  decodeMessage,
  dialRequestProtocol,
  dialStatus,
  encodeMessage,
  mostDataBytes,
  responseStatus
} from './codec.js'
import { directRoute, type Route } from './route.js'
import { type Choice, findChoice } from './server-choice.js'
import { dialBack, encodeVerdict, refused, rejected, type Verdict } from './server-dial.js'
import { createLimits } from './server-limits.js'
import { type AutonatServerInit, readServerInit, type ServerSettings } from './server-options.js'

/** The parts of a libp2p node that the server works with. */
export interface AutonatServerComponents {
  readonly registrar: Registrar
  readonly connectionManager: ConnectionManager
  readonly transportManager: TransportManager
  readonly addressManager: AddressManager
}

/** What the server has done since it was made. */
export interface AutonatServerCounters {
  /** Streams that were opened. */
  requests: number
  /** Answered with E_REQUEST_REJECTED: too many, malformed, too slow, or relayed. */
  rejected: number
  /** Answered with E_DIAL_REFUSED: no address of the request is one to dial. */
  refused: number
  /** Answered with E_INTERNAL_ERROR. */
  failed: number
  /** Addresses that were dialled, or that libp2p was told to dial. */
  dials: number
  /** Answered with OK and OK: dialled, and the nonce was delivered. */
  reached: number
  /** Answered with E_DIAL_ERROR. */
  dialErrors: number
  /** Answered with E_DIAL_BACK_ERROR. */
  dialBackErrors: number
  /** Bytes of dial data that were received. */
  dialDataBytes: number
}

/** A libp2p service: an AutoNAT v2 server. */
export interface AutonatServer extends Startable {
  readonly counters: Readonly<AutonatServerCounters>
}

/** Fifty addresses are well below that. */
const mostBytes = 8192
/** All the dial data that a request can cost, since a peer sends it as fast as it can. */
const mostBuffered = 262_144
const mostDialData = 200_000
const requestMs = 5_000
const dialDataMs = 15_000
const answerMs = 5_000
/** A message of data has 4096 bytes, and whoever sends fewer than 64 wants to keep this node busy. */
const leastDataBytes = 64

/**
 * AutoNAT v2 (libp2p/specs autonat/autonat-v2.md) for others: dials the first address of a request that it is willing
 * to, from a new connection, delivers the nonce, and answers once.
 *
 * A service of `createLibp2p({ services: { autonat: autonatServer() } })`. Throws a TypeError for an option that cannot
 * be right; `start` rejects with libp2p's error where another service handles the protocol.
 */
export function autonatServer(init: AutonatServerInit = {}): (components: AutonatServerComponents) => AutonatServer {
  const settings = readServerInit(init)
  return (components) => createServer(components, settings)
}

function createServer(components: AutonatServerComponents, settings: ServerSettings): AutonatServer {
  const { clock } = settings
  const limits = createLimits(settings)
  const working = new Set<Promise<void>>()
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
    const leave = from && limits.findPlace(connection.remotePeer.toString())
    const messages = messagesOf(stream, mostBytes, clock, leave && mostBuffered)
    const reset = (): void => messages.reset(new Error('the server stops'))
    call.signal.addEventListener('abort', reset, { once: true })
    try {
      const answer = from && leave ? await work(messages, connection, from, call) : rejected
      await respond(messages, answer, call)
    } catch (error) {
      messages.reset(error instanceof Error ? error : new Error(String(error)))
    } finally {
      leave?.()
      call.signal.removeEventListener('abort', reset)
    }
  }

  async function work(messages: Messages, connection: Connection, from: Route, call: CallOptions): Promise<Answer> {
    const late = (): Error => natError('NO_REPLY', 'no request')
    const request = await within(clock, requestMs, call, late, async (bounded) =>
      decodeMessage(await messages.read(bounded))
    ).catch(() => undefined)
    call.signal.throwIfAborted()
    if (request?.kind !== 'dial-request') return rejected
    const choice = findChoice(request.addresses, connection.remotePeer, components, settings)
    if (choice === undefined) return refused
    // "If this selected address has an IP address different from the requesting node's observed IP address"
    if (choice.route.host !== from.host && !(await isPaidFor(messages, choice, call))) return rejected
    counters.dials += 1
    return { ...(await dialBack(choice, request.nonce, components, settings, call)), index: choice.index }
  }

  /** Asks for data, and says whether it came. Without it a peer could have others flooded at no cost. */
  async function isPaidFor(messages: Messages, { index }: Choice, call: CallOptions): Promise<boolean> {
    const wanted = Math.min(settings.dialDataBytes(), mostDialData)
    const mostMessages = Math.ceil(wanted / leastDataBytes)
    const late = (): Error => natError('NO_REPLY', 'the dial data did not come in time')
    try {
      await within(clock, dialDataMs, call, late, async (bounded) => {
        await messages.write(encodeMessage({ kind: 'dial-data-request', index, bytes: BigInt(wanted) }), bounded)
        let received = 0
        for (let count = 0; received < wanted; count += 1) {
          const message = decodeMessage(await messages.read(bounded))
          if (message.kind !== 'dial-data-response' || message.data.length > mostDataBytes || count > mostMessages) {
            throw natError('MALFORMED_REPLY', 'no dial data')
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
    const late = (): Error => natError('NO_REPLY', 'the response is not taken')
    await within(clock, answerMs, call, late, async (bounded) => {
      await messages.write(encodeVerdict(verdict, index), bounded)
      await messages.finish(bounded)
    })
  }

  return {
    counters,
    async start() {
      if (running !== undefined) return
      const stopping = new AbortController()
      running = stopping
      const handler = (stream: Stream, connection: Connection): void => {
        const serving = serve(stream, connection, stopping).finally(() => working.delete(serving))
        working.add(serving)
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
