import { spoil } from './byte-faults.js'
import type { Engine } from './engine.js'
import type { Service } from './faults.js'
import { answerHttp } from './http-server.js'
import { answerNatPmp, unsupportedVersion } from './nat-pmp-server.js'
import { answerPcp } from './pcp-server.js'
import { answerSearch } from './ssdp-server.js'
import type { Cast, DatagramPort, HttpAnswer, HttpRequest, Outlet, Sender } from './transport.js'

/** A link, seen from the gateway. */
export interface Link {
  readonly outlet: Outlet
  readonly closed: AbortController
}

/** Receives the requests of all links and applies the faults to the answers. */
export interface Reception {
  datagram(link: Link, port: DatagramPort, bytes: Uint8Array, from: Sender, cast: Cast): void
  exchange(request: HttpRequest, from: Sender): HttpAnswer
  /** Forgets the pending requests after a reboot. */
  reset(): void
}

export function createReception(engine: Engine): Reception {
  const { clock, faults, protocols, random } = engine
  let busyUntil = Number.NEGATIVE_INFINITY
  /** When each rate-limited service last answered. */
  const answeredAt = new Map<Service, number>()
  /** Unanswered requests, by sender and service. */
  const outstanding = new Map<string, { readonly request: Uint8Array; readonly untilMs: number }>()
  /** The last answered request, by sender and service. */
  const answered = new Map<string, Uint8Array>()
  /** The last answer and its receiver, by sender and service. */
  const lastAnswers = new Map<string, { readonly replies: readonly Uint8Array[]; readonly to: Sender }>()

  /**
   * Returns the service of a datagram. The first byte is the version; the service that is enabled answers unknown
   * versions.
   */
  function serviceOf(port: DatagramPort, bytes: Uint8Array): Service {
    if (port === 'ssdp') return 'ssdp'
    if (!protocols.includes('pcp')) return 'nat-pmp'
    return bytes[0] === 0 && protocols.includes('nat-pmp') ? 'nat-pmp' : 'pcp'
  }

  function answer(link: Link, service: Service, bytes: Uint8Array, from: Sender, cast: Cast): readonly Uint8Array[] {
    if (service === 'ssdp') {
      const { outlet } = link
      return answerSearch(engine, bytes, from, cast, { address: outlet.address, port: outlet.httpPort() })
    }
    if (service === 'pcp' && faults.strike('downgrade', 'pcp') !== undefined) {
      engine.counters.pcp.errors += 1
      return [unsupportedVersion(engine)]
    }
    const reply = service === 'pcp' ? answerPcp(engine, bytes, from) : answerNatPmp(engine, bytes, from)
    return reply === undefined ? [] : [reply]
  }

  function datagram(link: Link, port: DatagramPort, bytes: Uint8Array, from: Sender, cast: Cast): void {
    const service = serviceOf(port, bytes)
    const counters = engine.counters[service]
    counters.requests += 1
    if (bytes.length < 2) engine.violation(`${service}: datagram of ${bytes.length} bytes`)
    noteParallel(service, bytes, from)
    const now = clock.monotonicMs()
    const slow = faults.strike('one-at-a-time', service)
    if (slow !== undefined && now < busyUntil) return
    if (isTooSoon(service)) return
    const silent = faults.strike('silent', service)
    if (silent !== undefined && silent.carriedOut !== true) return
    const replies = answer(link, service, bytes, from, cast).flatMap((reply) =>
      spoil(faults, reply, { service, request: bytes, from }, random)
    )
    if (silent !== undefined || replies.length === 0) return
    const searchMs = service === 'ssdp' ? engine.upnp.searchDelayMs : 0
    const delayMs = searchMs + (slow?.busyMs ?? 0) + (faults.strike('late', service)?.ms ?? 0)
    if (slow !== undefined) busyUntil = now + slow.busyMs
    // After 250 ms a client may have given up on the request; before that it must wait (RFC 6886 §3.1).
    // A retransmission that crossed the answer to the original does not count as unanswered.
    const key = senderOf(service, bytes, from)
    const isCopy = Buffer.compare(answered.get(key) ?? new Uint8Array(0), bytes) === 0
    if (delayMs > 0 && !isCopy) outstanding.set(key, { request: bytes, untilMs: now + Math.min(delayMs, 250) })

    const previous = lastAnswers.get(key)
    lastAnswers.set(key, { replies, to: from })
    if (previous !== undefined && faults.strike('stale', service) !== undefined) {
      for (const reply of previous.replies)
        link.outlet.send({ bytes: reply, to: previous.to, from: port, disguise: undefined, cast: 'unicast' })
    }
    const disguise = faults.strike('wrong-source', service)?.what
    const duplicate = faults.strike('duplicate', service)
    const copies = duplicate === undefined ? 1 : (duplicate.copies ?? 2)
    later(link.closed.signal, delayMs, () => {
      answered.set(key, bytes)
      for (const reply of replies) {
        for (let copy = 0; copy < copies; copy += 1) {
          counters.replies += 1
          link.outlet.send({ bytes: reply, to: from, from: port, disguise, cast: 'unicast' })
        }
      }
    })
  }

  /** Returns the key of a sender. PCP and NAT-PMP are separate clients, which may send requests at the same time. */
  const senderOf = (service: Service, bytes: Uint8Array, from: Sender): string =>
    `${service} ${service === 'ssdp' ? '' : (bytes[0] ?? '')} ${from.address}`

  function noteParallel(service: Service, bytes: Uint8Array, from: Sender): void {
    if (outstanding.size === 0 || service === 'ssdp') return
    const key = senderOf(service, bytes, from)
    const earlier = outstanding.get(key)
    if (earlier === undefined) return
    if (earlier.untilMs <= clock.monotonicMs()) outstanding.delete(key)
    else if (Buffer.compare(earlier.request, bytes) !== 0)
      engine.violation(
        `${service}: another request from ${from.address} while one is unanswered; RFC 6886 §3.1 requires one at a time`
      )
  }

  /** Returns whether the rate limit drops a request that has just arrived. */
  function isTooSoon(service: Service): boolean {
    const limit = faults.strike('rate-limited', service)
    if (limit === undefined) return false
    const now = clock.monotonicMs()
    if (now - (answeredAt.get(service) ?? Number.NEGATIVE_INFINITY) < limit.everyMs) return true
    answeredAt.set(service, now)
    return false
  }

  function later(signal: AbortSignal, delayMs: number, then: () => void): void {
    if (delayMs <= 0) return then()
    clock.sleep(delayMs, { signal }).then(then, () => undefined)
  }

  function exchange(request: HttpRequest, from: Sender): HttpAnswer {
    const service: Service = request.path.startsWith('/ctl/') ? 'control' : 'description'
    const now = clock.monotonicMs()
    const slow = faults.strike('one-at-a-time', service)
    if (slow !== undefined && now < busyUntil) {
      engine.counters[service].requests += 1
      engine.counters[service].errors += 1
      const dropped = (slow.answer ?? 503) === 'drop'
      const headers = [['Content-Length', '0']] as const
      return { status: 503, headers, body: new Uint8Array(0), delayMs: 0, manner: dropped ? 'reset' : 'plain' }
    }
    if (isTooSoon(service)) {
      engine.counters[service].requests += 1
      return { status: 503, headers: [], body: new Uint8Array(0), delayMs: 0, manner: 'reset' }
    }
    const silent = faults.strike('silent', service)
    if (silent !== undefined && silent.carriedOut !== true) {
      engine.counters[service].requests += 1
      return { status: 200, headers: [], body: new Uint8Array(0), delayMs: 0, manner: 'hang' }
    }
    const answering = answerHttp(engine, request, from)
    if (slow !== undefined) busyUntil = now + slow.busyMs
    const delayMs = answering.delayMs + (slow?.busyMs ?? 0)
    return { ...answering, delayMs, manner: silent === undefined ? answering.manner : 'hang' }
  }

  return {
    datagram,
    exchange,
    reset() {
      busyUntil = Number.NEGATIVE_INFINITY
      outstanding.clear()
      answered.clear()
      lastAnswers.clear()
    }
  }
}
