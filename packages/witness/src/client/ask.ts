import { type CallOptions, type Clock, isNatError, type NatError, natError } from '@postern/interface'
import type { EarlyConnection, HttpExchange, HttpReply } from '@postern/net'
import type { Settings } from '../options.js'
import type { ServerUrl } from '../server-url.js'
import {
  decodeRefusal,
  decodeReply,
  encodeRequest,
  maxReplyBytes,
  mediaType,
  type VerifyReply,
  type VerifyRequest,
  verifyPath
} from '../wire/messages.js'

/** One question to one server. */
export interface Question {
  readonly server: ServerUrl
  /** The IP address of the server, which decides the family of the request. */
  readonly serverAddress: string
  /** The local address to ask from, if the server must see this one.
   * @default the address of the route */
  readonly localAddress?: string | undefined
  readonly request: VerifyRequest
  /** A connection to the server that may be open already. */
  readonly early?: EarlyConnection | undefined
}

/** Seconds of `Retry-After` beyond this are not believed. */
const maxRetrySeconds = 3600

/**
 * Sends a request over the family of the server's address. Resolves with the reply.
 *
 * Rejects with `NO_REPLY`, `REFUSED`, `UNREACHABLE`, `MALFORMED_REPLY`, `REPLY_TOO_LARGE`, `UNTRUSTED_REPLY` (a redirect,
 * an invalid certificate, or another address than asked), `UNSUPPORTED`, `WITNESS_REFUSED`, or the signal's reason.
 */
export async function ask(
  question: Question,
  settings: Settings,
  clock: Clock,
  call: CallOptions
): Promise<VerifyReply> {
  const { server, serverAddress, localAddress, request, early } = question
  const exchange: HttpExchange = {
    url: new URL(`${server.base}${verifyPath}`),
    method: 'POST',
    headers: { 'Content-Type': mediaType, Accept: mediaType },
    body: encodeRequest(request),
    ...(localAddress === undefined ? {} : { localAddress }),
    connectTo: serverAddress,
    maxBytes: maxReplyBytes,
    timeoutMs: settings.timeoutMs,
    clock
  }
  // Another local address needs a connection of its own.
  const connection = localAddress === undefined ? early?.take() : undefined
  const reply = await settings.exchangeHttp({ ...exchange, connection }, call).catch((error: unknown) => {
    call.signal.throwIfAborted()
    // The server may have closed the early connection just now.
    const isWorthAnother = connection !== undefined && isNatError(error) && error.code !== 'NO_REPLY'
    if (!isWorthAnother) throw error
    return settings.exchangeHttp(exchange, call)
  })
  if (reply.status !== 200) throw refusalOf(reply, server)
  const told = decodeReply(reply.body)
  if (told.address !== request.address || told.port !== request.port) {
    throw natError(
      'UNTRUSTED_REPLY',
      `the witness ${server.host} was asked about another address than it answers about`
    )
  }
  if (told.outcome === (request.protocol === 'tcp' ? 'sent' : 'connected')) {
    throw natError('MALFORMED_REPLY', `the witness ${server.host} tells the outcome of another protocol`)
  }
  return told
}

/** The cause of a refusal: the server sees this host at another address than the one in question. */
export class OtherAddressError extends Error {
  constructor(observed: string) {
    super(`the server sees this host at ${observed}`)
    this.name = 'OtherAddressError'
  }
}

/** Returns the error of a reply with a status other than 200. */
export function refusalOf({ status, headers, body }: HttpReply, { host }: ServerUrl): NatError {
  if (status >= 300 && status < 400)
    return natError('UNTRUSTED_REPLY', `the witness ${host} redirects to another place, where nothing is asked`)
  const { error, message, observed } = decodeRefusal(body)
  const isTold = error !== 'unknown'
  if (!isTold && (status === 404 || status === 405 || status === 501))
    return natError('UNSUPPORTED', `${host} answers, and is not a witness of this version (status ${status})`)
  const seen = observed === undefined ? '' : ` It sees this host at ${observed}.`
  const seconds = /^\d{1,6}$/.test(headers['retry-after'] ?? '') ? Number(headers['retry-after']) : undefined
  const retry = seconds === undefined ? {} : { retryAfterMs: Math.min(seconds, maxRetrySeconds) * 1000 }
  return natError('WITNESS_REFUSED', `the witness ${host} refuses (${error}, ${status}): ${message}.${seen}`, {
    ...retry,
    ...(observed === undefined ? {} : { cause: new OtherAddressError(observed) })
  })
}
