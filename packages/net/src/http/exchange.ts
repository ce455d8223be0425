import type { Socket } from 'node:net'
import { abortReason, type CallOptions, type Clock, isNatError, natError } from '@postern/interface'
import { httpOf } from '../async/builtins.js'
import { addHandle } from '../async/handles.js'

/** The maximum number of interim responses (1xx) before the final one. RFC 9110 §15.2 does not limit them, and
 * `maxBytes` does not count them. */
const maxInformational = 4

/** The reason with which timers and sockets of an exchange are aborted at its end. */
const over = abortReason('the exchange is over')

/** One HTTP request, and the bounds on its response. */
export interface HttpExchange {
  /** The URL to request, with `http:` or `https:`. The certificate of `https:` must be valid for its host. */
  readonly url: URL
  /** The request method.
   * @default 'GET' */
  readonly method?: 'GET' | 'POST'
  /** Additional request headers. `Host`, `Connection` and `Content-Length` are set already. */
  readonly headers?: Readonly<Record<string, string>>
  /** The request body.
   * @default none */
  readonly body?: string
  /** The local address to connect from, if it matters which one the peer sees.
   * @default the kernel's choice */
  readonly localAddress?: string
  /** The address to connect to, with its zone if it needs one, if that is not the host of the URL: a URL cannot contain
   * a link-local address with a zone.
   * @default the host of the URL */
  readonly connectTo?: string
  /** A connection to the server to use, which {@link openEarly} has opened. It must be to the same host and port.
   * @default a new connection */
  readonly connection?: Socket | undefined
  /** The maximum size of the response body. A larger one is not read to its end, and gives `REPLY_TOO_LARGE`. */
  readonly maxBytes: number
  /** Returns whether a body is complete although the peer closed the connection before the announced length.
   * @default it never is: `MALFORMED_REPLY` */
  readonly isWhole?: (body: Uint8Array) => boolean
  /** The limit for the whole exchange, from connecting to the last byte, in ms. */
  readonly timeoutMs: number
  /** The clock for the time limit. */
  readonly clock: Clock
}

/** An HTTP response. */
export interface HttpReply {
  /** The status code. */
  readonly status: number
  /** The headers, with names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The body, not decompressed. */
  readonly body: Uint8Array
}

/** Makes one bounded HTTP exchange on its own connection. Follows no redirects, decompresses nothing, and closes the
 * connection.
 *
 * Rejects with `REFUSED`, `UNREACHABLE`, `NO_REPLY` (the time limit), `REPLY_TOO_LARGE`, `MALFORMED_REPLY`,
 * `UNTRUSTED_REPLY` (the certificate), or with the signal's reason. */
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
  const { url, method = 'GET', headers, body, localAddress, connectTo, connection, maxBytes, isWhole } = exchange
  const { Agent, request } = httpOf(url.protocol === 'https:' ? 'https:' : 'http:')
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method,
      signal,
      localAddress,
      ...(connectTo === undefined ? {} : { hostname: connectTo }),
      ...(connection === undefined
        ? { agent: new Agent({ keepAlive: false }) }
        : { createConnection: () => connection }),
      maxHeaderSize: 8192,
      // Some routers send spaces before colons, or omit carriage returns.
      insecureHTTPParser: true,
      headers: {
        Host: url.host,
        Connection: 'close',
        ...headers,
        ...(body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) })
      }
    })
    let isComplete = (): boolean => false
    // Some routers send more bytes than the announced length. The response is complete then, so ignore the parse error.
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
  if (/CERT|SELF_SIGNED|ERR_TLS/.test(code))
    return natError('UNTRUSTED_REPLY', `${url.host} has no valid certificate (${code})`, { cause: error })
  if (code.startsWith('HPE_')) return natError('MALFORMED_REPLY', `${url.host} does not speak HTTP`, { cause: error })
  if (code === 'ECONNRESET')
    return natError('MALFORMED_REPLY', `${url.host} closed in the middle of its answer`, { cause: error })
  return natError('UNREACHABLE', `${url.host} cannot be reached`, { cause: error })
}
