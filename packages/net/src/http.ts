import type * as Http from 'node:http'
import { createRequire } from 'node:module'
import { type CallOptions, type Clock, isNatError, natError } from '@postern/interface'
import { addHandle } from './handles.js'

/** Not imported: as an ES module `node:http` brings in the whole of Node's fetch, for a getter that nobody uses, which takes
 * eight times as long as all the rest of it. */
const http = (): typeof Http => createRequire(import.meta.url)('node:http')

/** Answers of the kind 1xx before the one that counts (RFC 9110 §15.2). Nothing bounds their number, and no body their size. */
const maxInformational = 4

/** Why what serves one exchange ends with it. Made once: an abort without a reason makes a new error with its stack. */
const over = new Error('the exchange is over')

export interface HttpExchange {
  readonly url: URL
  /** @default 'GET' */
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Our own address, where it matters which one the peer sees.
   * @default the kernel's choice */
  readonly localAddress?: string
  /** The address that is connected to, with its zone if it needs one, where that is not the host of the URL: a link-local
   * address has no place in a URL.
   * @default the host of the URL */
  readonly connectTo?: string
  /** A larger body is an error, and no more of it is read. */
  readonly maxBytes: number
  /** Whether a body is whole although the peer closed before the length that it gave.
   * @default it is not: `MALFORMED_REPLY` */
  readonly isWhole?: (body: Uint8Array) => boolean
  /** For the whole exchange, from connecting to the last byte, in ms. */
  readonly timeoutMs: number
  readonly clock: Clock
}

export interface HttpReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Uint8Array
}

/** One bounded HTTP exchange on a connection of its own: nothing is followed, nothing unpacked, nothing kept open.
 *
 * Rejects with `REFUSED`, `UNREACHABLE`, `NO_REPLY` (the deadline), `REPLY_TOO_LARGE`, `MALFORMED_REPLY`, or the signal's reason. */
export type ExchangeHttp = (exchange: HttpExchange, call: CallOptions) => Promise<HttpReply>

/** {@link ExchangeHttp} with real sockets. */
export const exchangeHttp: ExchangeHttp = async (exchange, { signal }) => {
  signal.throwIfAborted()
  const { clock, timeoutMs, url } = exchange
  const done = new AbortController()
  const aborted = (): void => done.abort(over)
  signal.addEventListener('abort', aborted, { once: true })
  const deadline = async (): Promise<never> => {
    await clock.sleep(timeoutMs, done)
    throw natError('NO_REPLY', `no whole answer from ${url.host} within ${timeoutMs} ms`)
  }
  try {
    return await Promise.race([converse(exchange, done.signal), deadline()])
  } catch (error) {
    signal.throwIfAborted()
    throw isNatError(error) ? error : asNatError(error, url)
  } finally {
    signal.removeEventListener('abort', aborted)
    done.abort(over)
  }
}

function converse(exchange: HttpExchange, signal: AbortSignal): Promise<HttpReply> {
  const { url, method = 'GET', headers, body, localAddress, connectTo, maxBytes, isWhole } = exchange
  const { Agent, request } = http()
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method,
      signal,
      localAddress,
      ...(connectTo === undefined ? {} : { hostname: connectTo }),
      agent: new Agent({ keepAlive: false }),
      maxHeaderSize: 8192,
      // Routers put blanks before colons and leave out carriage returns.
      insecureHTTPParser: true,
      headers: {
        Host: url.host,
        Connection: 'close',
        ...headers,
        ...(body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) })
      }
    })
    let isComplete = (): boolean => false
    // What comes behind the length that a router gave is no part of the answer, which is on its way to its reader.
    outgoing.on('error', (error) => isComplete() || reject(error))
    outgoing.on('socket', (socket) => socket.once('close', addHandle(socket)))
    let informational = 0
    outgoing.on('information', () => {
      informational += 1
      if (informational <= maxInformational) return
      reject(natError('MALFORMED_REPLY', `${url.host} sends one interim answer after the other`))
      outgoing.destroy()
    })
    outgoing.on('response', (response) => {
      isComplete = () => response.complete
      const chunks: Buffer[] = []
      let length = 0
      const finish = (): void => {
        const flat = Object.entries(response.headers).map(([name, value]) => [
          name,
          Array.isArray(value) ? value.join(', ') : value
        ])
        resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(flat), body: Buffer.concat(chunks) })
      }
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length <= maxBytes) return void chunks.push(chunk)
        reject(natError('REPLY_TOO_LARGE', `${url.host} sends more than ${maxBytes} bytes`))
        outgoing.destroy()
      })
      response.on('error', (error) => (isWhole?.(Buffer.concat(chunks)) ? finish() : reject(error)))
      response.on('end', finish)
    })
    outgoing.end(body)
  })
}

function asNatError(error: unknown, url: URL): Error {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code === 'ECONNREFUSED') return natError('REFUSED', `${url.host} refuses the connection`, { cause: error })
  if (code.startsWith('HPE_')) return natError('MALFORMED_REPLY', `${url.host} does not speak HTTP`, { cause: error })
  if (code === 'ECONNRESET')
    return natError('MALFORMED_REPLY', `${url.host} closed in the middle of its answer`, { cause: error })
  return natError('UNREACHABLE', `${url.host} cannot be reached`, { cause: error })
}
