import { abortReason, anySignal, type CallOptions, familyOf, natError } from '@postern/interface'
import type { HttpExchange, HttpReply } from '@postern/net'
import type { HttpAnswer, Line } from './transport.js'

interface MemoryHttpOptions {
  readonly addresses: readonly string[]
  readonly delayMs: number
  /** Returns the address at which the gateway at an address sees the host, if that is not its own. */
  readonly seenAs: (address: string) => string | undefined
  /** Returns the gateway at an address and port; `refused` if the port is closed, undefined if there is no host. */
  readonly find: (address: string, port: number) => Line | 'refused' | undefined
}

let nextPort = 32_768

const over = abortReason('the exchange has ended')

/** Runs one HTTP exchange in memory, with the same outcomes as a real one. */
export async function exchangeInMemory(
  exchange: HttpExchange,
  { signal }: CallOptions,
  options: MemoryHttpOptions
): Promise<HttpReply> {
  const { url, method = 'GET', headers = {}, body = '', timeoutMs, clock } = exchange
  const { addresses, delayMs, find, seenAs } = options
  signal.throwIfAborted()
  const done = new AbortController()
  const waits = anySignal([signal, done.signal])
  const pause = async (ms: number): Promise<void> => {
    if (ms > 0) await clock.sleep(ms, { signal: waits })
  }

  async function converse(): Promise<HttpReply> {
    const address = exchange.connectTo ?? url.hostname.replace(/^\[|\]$/g, '')
    const isFrom = (each: string): boolean =>
      exchange.localAddress === undefined ? familyOf(each) === familyOf(address) : each === exchange.localAddress
    const from = addresses.find(isFrom)
    // The connection takes one round trip, and the exchange another.
    await pause(2 * delayMs)
    const line = find(address, Number(url.port === '' ? '80' : url.port))
    if (line === undefined || from === undefined) throw natError('UNREACHABLE', `${url.host} cannot be reached`)
    if (line === 'refused') throw natError('REFUSED', `${url.host} refuses the connection`)
    nextPort = nextPort >= 60_000 ? 32_768 : nextPort + 1
    const sentHeaders = {
      host: url.host,
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
      ...(exchange.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) })
    }
    await pause(delayMs)
    const answer = line.exchange(
      { method, path: `${url.pathname}${url.search}`, headers: sentHeaders, body },
      { address: seenAs(address) ?? from, port: nextPort }
    )
    await pause(answer.delayMs + delayMs)
    return await read(answer)
  }

  async function read({ manner, status, headers: named, body: bytes }: HttpAnswer): Promise<HttpReply> {
    const flat = Object.fromEntries(named.map(([name, value]) => [name.toLowerCase(), value]))
    if (manner === 'hang' || manner === 'slow-headers') await pause(timeoutMs + 1)
    if (manner === 'not-http') throw natError('MALFORMED_REPLY', `${url.host} does not speak HTTP`)
    if (manner === 'reset') throw natError('MALFORMED_REPLY', `${url.host} closed the connection during its answer`)
    if (manner === 'endless' || bytes.length > exchange.maxBytes)
      throw natError('REPLY_TOO_LARGE', `${url.host} sent more than ${exchange.maxBytes} bytes`)
    if (manner === 'drip') await pause(bytes.length * 100)
    return { status, headers: flat, body: bytes }
  }

  const deadline = async (): Promise<never> => {
    await clock.sleep(timeoutMs, { signal: waits })
    throw natError('NO_REPLY', `${url.host} sent no complete answer within ${timeoutMs} ms`)
  }
  try {
    return await Promise.race([converse(), deadline()])
  } finally {
    done.abort(signal.aborted ? signal.reason : over)
  }
}
