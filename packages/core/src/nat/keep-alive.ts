import {
  abortReason,
  anySignal,
  type CallOptions,
  formatMultiaddr,
  type MultiaddrText,
  natError,
  parseMultiaddr
} from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Candidate } from '../candidates/candidates.js'
import type { Context } from '../context.js'
import type { ObservedSocket, Observers } from './observe.js'

/** Keeps the NAT's mapping of a socket alive while its observed address is a candidate. Only a NAT with
 * endpoint-independent mapping and filtering lets witnesses in there; RFC 4787 §4.3 calls this a keep-alive. */
export interface KeepAlive {
  /** Starts on new candidates, and stops on those that were refuted or withdrawn. */
  review(call: CallOptions): void
  /** Resolves when nothing is sent any more. */
  settled(): Promise<void>
}

/** After how many requests in a row without an answer the mapping is given up. */
const maxFailures = 3
/** The part of the measured lifetime after which the next request is sent. A datagram may be late, or lost. */
const lifetimePart = 0.4
/** Bounds of the measured interval, in ms. */
const minMs = 1000
const maxMs = 60_000
/** How long the measurement may take, in ms. It waits for mappings to expire, which takes some minutes. */
const maxMeasuringMs = 3_600_000

const over = abortReason('the address is no candidate any more')

/** A socket, and the external address that observers see it at. */
interface KeptSocket {
  readonly address: MultiaddrText
  readonly socket: ObservedSocket
}

export function createKeepAlive(context: Context, observers: Observers): KeepAlive {
  const { host, policy, bus, requests, candidates } = context
  const { clock, log } = host
  const kept = new Map<string, AbortController>()
  const running = new Set<Promise<void>>()

  /** Returns the socket of a candidate that observers see at this very address. */
  function socketOf({ address: text, endpoint, type, ruling }: Candidate): KeptSocket | undefined {
    if (type !== 'observed' || ruling === 'refuted' || endpoint?.protocol !== 'udp') return undefined
    const parsed = parseMultiaddr(text)
    if (parsed === undefined) return undefined
    const address = formatMultiaddr(parsed.address, 'udp', parsed.port)
    const socket = observers.socketAt(address, endpoint)
    return socket?.observers.some(({ observer }) => observer.refresh !== undefined) === true
      ? { address, socket }
      : undefined
  }

  async function refresh({ open, observers: asked }: ObservedSocket, turn: number, call: CallOptions): Promise<string> {
    const able = asked.filter(({ observer }) => observer.refresh !== undefined)
    const found = able[turn % able.length]
    if (found === undefined) throw natError('UNSUPPORTED', 'no observer can refresh the mapping')
    const { observer, entry } = found
    return requests.attempt(
      { strategy: entry.name, verb: 'refresh' },
      async (bounded) => {
        if (observer.refresh === undefined) throw natError('UNSUPPORTED', 'the observer cannot refresh the mapping')
        return observer.refresh(await open(bounded), bounded)
      },
      policy.observeMs,
      call
    )
  }

  /** Resolves with the measured interval, in ms; undefined if no observer can measure it. */
  async function measure(
    { endpoint, observers: asked }: ObservedSocket,
    call: CallOptions
  ): Promise<number | undefined> {
    for (const { observer, entry } of asked) {
      if (observer.lifetimeMs === undefined) continue
      const subject = { strategy: entry.name, verb: 'lifetime' } as const
      const task = async (own: CallOptions): Promise<number | undefined> => observer.lifetimeMs?.(endpoint, own)
      const ms = await requests.attempt(subject, task, maxMeasuringMs, call).catch((error: unknown) => {
        call.signal.throwIfAborted()
        log.debug(`the lifetime of mappings was not measured: ${asNatError(error).message}`)
      })
      if (ms !== undefined && ms > 0) return Math.min(maxMs, Math.max(minMs, ms * lifetimePart))
    }
    return undefined
  }

  async function keep(address: MultiaddrText, socket: ObservedSocket, call: CallOptions): Promise<void> {
    let intervalMs = policy.keepAliveMs
    const ended = new AbortController()
    const measuring = measure(socket, { signal: anySignal([call.signal, ended.signal]) }).then(
      (ms) => {
        intervalMs = ms ?? intervalMs
      },
      () => undefined
    )
    let failures = 0
    try {
      for (let turn = 0; failures < maxFailures; turn++) {
        await clock.sleep(intervalMs, call)
        const seen = await refresh(socket, turn, call).catch((error: unknown) => {
          call.signal.throwIfAborted()
          log.debug(`a keep-alive was not answered: ${asNatError(error).message}`)
        })
        failures = seen === undefined ? failures + 1 : 0
        if (seen !== undefined && seen !== address) break
      }
      // Another strategy may still name the address, so witnesses try it again.
      socket.forget()
      bus.emit('doubted', undefined)
    } finally {
      ended.abort(over)
      await measuring
    }
  }

  return {
    review({ signal }) {
      const sockets = new Map<string, KeptSocket>()
      for (const candidate of candidates.all()) {
        const found = socketOf(candidate)
        if (found !== undefined) sockets.set(`${found.address} ${candidate.since}`, found)
      }
      for (const [key, controller] of kept) {
        if (sockets.has(key)) continue
        kept.delete(key)
        controller.abort(over)
      }
      for (const [key, { address, socket }] of sockets) {
        if (kept.has(key) || signal.aborted) continue
        const controller = new AbortController()
        kept.set(key, controller)
        const work: Promise<void> = keep(address, socket, { signal: anySignal([signal, controller.signal]) })
          .catch(() => undefined)
          .finally(() => {
            running.delete(work)
            if (kept.get(key) === controller) kept.delete(key)
          })
        running.add(work)
      }
    },
    async settled() {
      await Promise.all(running)
    }
  }
}
