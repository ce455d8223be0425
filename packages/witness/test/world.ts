import { type Arrival, natError, orAborted, type ServerHost } from '@postern/interface'
import type { ExchangeHttp, HttpExchange } from '@postern/net'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import { addressPath, decodeRequest, type VerifyRequest } from '../src/wire/messages.js'

/** The external address of the simulated home, and the address and port of its witness. */
export const external = '8.8.4.4'
export const serverAddress = '9.9.9.9'
export const serverUrl = `http://${serverAddress}:4003`
/** The place from which the simulated witness connects. */
export const from = { address: serverAddress, port: 51_234 }
export const tcpAddress = `/ip4/${external}/tcp/4001` as const
export const udpAddress = `/ip4/${external}/udp/4001` as const

/** What a simulated witness does with a request. */
export type Behave = (asked: VerifyRequest, scene: Scene) => Promise<Reply> | Reply

export interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
}

/** A host with a server, and a witness that behaves as told. */
export interface Scene {
  readonly clock: VirtualClock
  readonly host: ServerHost
  readonly exchangeHttp: ExchangeHttp
  /** The requests to connect. */
  readonly exchanges: HttpExchange[]
  /** The requests for the address that the witness sees. */
  readonly looks: HttpExchange[]
  /** The address at which the witness sees the host. */
  seesAt: string
  /** The arrivals that a witness has recognized. */
  readonly recognized: string[]
  /** The number of questions that listen for arrivals. */
  listeners(): number
  /** Has a connection or a datagram arrive. */
  arrive(arrival: Partial<Arrival>): void
  behave: Behave
}

/** Reports a connection from the place that it names. */
export const honest: Behave = ({ protocol, address, port, nonce }, { arrive }) => {
  const { address: remoteAddress, port: remotePort } = from
  arrive({ protocol, remoteAddress, remotePort, ...(protocol === 'udp' ? { bytes: indication(nonce) } : {}) })
  return { body: { outcome: protocol === 'tcp' ? 'connected' : 'sent', address, port, from } }
}

/** A Binding indication without attributes. */
export const indication = (id: Uint8Array): Uint8Array => Uint8Array.of(0x00, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42, ...id)

/** Sets up a host and a witness that is honest at first. Each request takes 10 ms. */
export function scene(): Scene {
  const clock = virtualClock()
  const hearers = new Set<{ readonly protocol: string; readonly each: (arrival: Arrival) => void }>()
  const each: Scene = {
    clock,
    exchanges: [],
    looks: [],
    seesAt: external,
    recognized: [],
    behave: honest,
    listeners: () => hearers.size,
    arrive(arrival) {
      const { protocol = 'tcp', remoteAddress = serverAddress, remotePort = from.port, bytes } = arrival
      const told: Arrival = {
        protocol,
        remoteAddress,
        remotePort,
        localAddress: '192.168.1.2',
        localPort: 4001,
        ...(bytes === undefined ? {} : { bytes }),
        recognize: () => void each.recognized.push(`${remoteAddress} ${remotePort}`)
      }
      for (const hearer of hearers) if (hearer.protocol === protocol) hearer.each(told)
    },
    host: {
      clock,
      random: () => 0.5,
      log: { debug: () => undefined, info: () => undefined },
      arrivals({ protocol }, hear, { signal }) {
        const hearer = { protocol, each: hear }
        hearers.add(hearer)
        signal.addEventListener('abort', () => hearers.delete(hearer), { once: true })
      }
    },
    async exchangeHttp(exchange, call) {
      call.signal.throwIfAborted()
      if (exchange.url.pathname === addressPath) {
        each.looks.push(exchange)
        return { status: 200, headers: {}, body: new TextEncoder().encode(JSON.stringify({ address: each.seesAt })) }
      }
      each.exchanges.push(exchange)
      await clock.sleep(10, call)
      const asked = decodeRequest(new TextEncoder().encode(exchange.body ?? ''))
      if (asked === undefined) throw natError('MALFORMED_REPLY', 'the request is malformed')
      const { status = 200, headers = {}, body } = await orAborted(Promise.resolve(each.behave(asked, each)), call)
      const bytes = body instanceof Uint8Array ? body : new TextEncoder().encode(JSON.stringify(body))
      return { status, headers, body: bytes }
    }
  }
  return each
}
