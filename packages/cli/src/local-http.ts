import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIP, type Socket } from 'node:net'
import { classOf } from '@postern/interface'

export interface LocalHttpOptions {
  /** Answers a request that has been let in. */
  readonly answer: (request: IncomingMessage, response: ServerResponse) => void
  /** Names, in lower case, that `Host` may have besides loopback addresses and `localhost`: a reverse proxy's, for example.
   * @default none */
  readonly allowedHosts?: readonly string[]
  /** Connections at a time. Beyond it the one that has waited longest without asking anything is closed.
   * @default 64 */
  readonly maxConnections?: number
  /** How long a request may take to arrive, and how long a connection stays open between requests, in ms.
   * @default 5000 */
  readonly timeoutMs?: number
}

/** An HTTP server for programs of this machine. */
export interface LocalHttpServer {
  /** Listens on this port of 127.0.0.1. Rejects where it is taken. Resolves to the port, which differs for 0. */
  listen(port: number): Promise<number>
  /** Closes it, and every connection. */
  close(): void
}

const maxHeaderBytes = 8192
const maxHeaders = 64

/**
 * Serves HTTP on loopback to programs of this machine, and not to web pages in its browsers: a page whose name is made to
 * resolve to 127.0.0.1 (DNS rebinding) sends that name in `Host`, a page of another site says so in `Origin` and
 * `Sec-Fetch-Site`. Requests of both are answered with 403 and a sentence, malformed ones with 400.
 */
export function localHttpServer(options: LocalHttpOptions): LocalHttpServer {
  const { answer, allowedHosts = [], maxConnections = 64, timeoutMs = 5000 } = options
  let port = 0
  const server: Server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      keepAliveTimeout: timeoutMs,
      connectionsCheckingInterval: Math.min(1000, timeoutMs)
    },
    (request, response) => {
      const refusal = refusalOf(request, port, allowedHosts)
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
  )
  server.maxHeadersCount = maxHeaders

  /** Connections in the order in which they were last of use, and those whose request is being answered. */
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
    }
  }
}

/** What is served is for the program that asked, and for no page that embeds it. */
const headers: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff'
}

type Asked = Pick<IncomingMessage, 'rawHeaders' | 'url'>

/** Why a request is not answered, as status and sentence; undefined where it is. */
export function refusalOf(
  { rawHeaders, url = '' }: Asked,
  port: number,
  allowedHosts: readonly string[]
): readonly [400 | 403, string] | undefined {
  const valuesOf = (name: string): readonly string[] =>
    rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name)
  const hosts = valuesOf('host')
  const [host = ''] = hosts
  if (hosts.length !== 1) return [400, 'The request must have exactly one Host header.']
  // RFC 9112 §3.2.1: the other forms name a host of their own, or none.
  if (!/^\/(?!\/)/.test(url)) return [400, 'The request must ask for a path.']
  if (!isOwnHost(host, port, allowedHosts)) {
    return [
      403,
      `This server answers to localhost:${port} and 127.0.0.1:${port} only, and the request names another host.`
    ]
  }
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

/** Whether `Host` names this server: a loopback address or `localhost` with its port, or a name that is allowed. */
function isOwnHost(host: string, port: number, allowedHosts: readonly string[]): boolean {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::(\d{1,5}))?$/i.exec(host)
  if (match === null) return false
  const [, ipv6, name = '', digits] = match
  // Never resolved here, and never said by a page whose name was made to lead here.
  if (ipv6 === undefined && allowedHosts.includes(name.toLowerCase())) return true
  if (Number(digits ?? 80) !== port) return false
  if (ipv6 !== undefined) return isIP(ipv6) === 6 && classOf(ipv6) === 'loopback'
  return name.toLowerCase() === 'localhost' || classOf(name) === 'loopback'
}
