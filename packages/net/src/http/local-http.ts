import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { classOf, familyOf } from '@postern/interface'
import { httpOf } from '../async/builtins.js'

/** The options of {@link localHttpServer}. */
export interface LocalHttpOptions {
  /** Answers an accepted request. */
  readonly answer: (request: IncomingMessage, response: ServerResponse) => void
  /** Additional names, in lower case, that `Host` may have besides loopback addresses and `localhost`, for a reverse
   * proxy for example.
   * @default none */
  readonly allowedHosts?: readonly string[]
  /** The maximum number of connections. Beyond it, the connection that has been idle the longest is closed.
   * @default 64 */
  readonly maxConnections?: number
  /** How long a request may take to arrive, and how long a connection stays open between requests, in ms.
   * @default 5000 */
  readonly timeoutMs?: number
  /** Returns whether a request proves by itself that the user wants it, with a secret in its URL for example. A page of
   * another site may lead to it, as a terminal in the browser does; `Host` is checked all the same.
   * @default no request */
  readonly isInvited?: (request: IncomingMessage) => boolean
}

/** An HTTP server for programs of this machine. */
export interface LocalHttpServer {
  /** Listens on a port of 127.0.0.1. Resolves to the port, a free one for 0. Rejects if it is taken. */
  listen(port: number): Promise<number>
  /** Closes the server and every connection. */
  close(): void
  /** Lets the process end although the server listens, also with connections that are opened later. */
  unref(): void
}

const maxHeaderBytes = 8192
const maxHeaders = 64

/**
 * Creates an HTTP server on loopback for programs of this machine, but not for web pages in its browsers. A page with a
 * name that resolves to 127.0.0.1 (DNS rebinding) sends that name in `Host`; a page of another site is named in
 * `Origin` and `Sec-Fetch-Site`. Both get status 403 with a sentence; malformed requests get 400.
 */
export function localHttpServer(options: LocalHttpOptions): LocalHttpServer {
  const { answer, allowedHosts = [], maxConnections = 64, timeoutMs = 5000, isInvited = () => false } = options
  let port = 0
  let isRef = true
  function handle(request: IncomingMessage, response: ServerResponse): void {
    const refusal = refusalOf(request, port, allowedHosts, isInvited(request))
    if (refusal === undefined) return serve(request, response)
    const [status, text] = refusal
    response.writeHead(status, {
      ...headers,
      'content-type': 'text/plain; charset=utf-8',
      'content-length': text.length + 1,
      connection: 'close'
    })
    response.end(`${text}\n`)
  }

  const server: Server = httpOf('http:').createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      keepAliveTimeout: timeoutMs,
      connectionsCheckingInterval: Math.min(1000, timeoutMs)
    },
    handle
  )
  // Node answers an unknown `Expect` by itself, with 417.
  server.on('checkExpectation', handle)
  server.maxHeadersCount = maxHeaders

  /** The idle connections, the longest idle first, and all open connections. */
  const waiting = new Set<Socket>()
  const open = new Set<Socket>()

  function serve(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    waiting.delete(socket)
    response.once('close', () => {
      if (open.has(socket)) waiting.add(socket)
    })
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    answer(request, response)
  }

  server.on('connection', (socket: Socket) => {
    if (!isRef) socket.unref()
    open.add(socket)
    waiting.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      waiting.delete(socket)
    })
    if (open.size <= maxConnections) return
    const [longest] = waiting
    longest?.destroy()
  })

  return {
    async listen(wanted) {
      server.listen(wanted, '127.0.0.1')
      await once(server, 'listening')
      const address = server.address()
      port = typeof address === 'object' && address !== null ? address.port : wanted
      return port
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
    unref() {
      isRef = false
      server.unref()
      for (const socket of open) socket.unref()
    }
  }
}

/** The headers of every response, so that no page can embed it and no cache stores it. */
const headers: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff'
}

type Asked = Pick<IncomingMessage, 'rawHeaders' | 'url'>

/** Returns why a request is refused, as status and sentence; undefined if it is accepted. */
export function refusalOf(
  { rawHeaders, url = '' }: Asked,
  port: number,
  allowedHosts: readonly string[],
  isInvited = false
): readonly [400 | 403, string] | undefined {
  const valuesOf = (name: string): readonly string[] =>
    rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name)
  const hosts = valuesOf('host')
  const [host = ''] = hosts
  if (hosts.length !== 1) return [400, 'The request must have exactly one Host header.']
  // RFC 9112 §3.2.1: other forms of the request target name another host, or none.
  if (!/^\/(?!\/)/.test(url)) return [400, 'The request must ask for a path.']
  if (!isOwnHost(host, port, allowedHosts)) {
    return [
      403,
      `This server answers to localhost:${port} and 127.0.0.1:${port} only, and the request names another host.`
    ]
  }
  if (isInvited) return undefined
  const isForeign = (origin: string): boolean =>
    !origins.some((scheme) => isOwnHost(after(scheme, origin), port, allowedHosts))
  if (valuesOf('origin').some(isForeign)) return [403, 'This server does not answer pages of other origins.']
  const isCrossSite = (site: string): boolean => site !== 'same-origin' && site !== 'none'
  if (valuesOf('sec-fetch-site').some(isCrossSite)) return [403, 'This server does not answer pages of other sites.']
  return undefined
}

const origins = ['http://', 'https://']

const after = (start: string, text: string): string =>
  text.toLowerCase().startsWith(start) ? text.slice(start.length) : ''

/** Returns whether `Host` names this server: a loopback address or `localhost` with its port, or an allowed name. */
function isOwnHost(host: string, port: number, allowedHosts: readonly string[]): boolean {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::(\d{1,5}))?$/i.exec(host)
  if (match === null) return false
  const [, ipv6, name = '', digits] = match
  // The name is not resolved here, and a page with a rebound name cannot send an allowed one.
  if (ipv6 === undefined && allowedHosts.includes(name.toLowerCase())) return true
  if (Number(digits ?? 80) !== port) return false
  if (ipv6 !== undefined) return familyOf(ipv6) === 6 && classOf(ipv6) === 'loopback'
  return name.toLowerCase() === 'localhost' || classOf(name) === 'loopback'
}
