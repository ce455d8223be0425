import { type CallOptions, type Clock, isNatError } from '@postern/interface'
import type { AnswerTimes } from './answer-times.js'
import { requestUdp, type UdpRequest } from './request-udp.js'
import { type OpenUdp, openUdp } from './udp.js'

/** Asks one service, one request at a time. */
export type SpacedUdp = <T>(request: Omit<UdpRequest<T>, 'clock' | 'open'>, call: CallOptions) => Promise<T>

/** RFC 6886 §3.1: a request that was not answered is outstanding for so long after it was sent last. */
const outstandingMs = 250
const unanswered: ReadonlySet<string> = new Set(['NO_REPLY', 'MALFORMED_REPLY', 'UNREACHABLE'])

/**
 * {@link requestUdp} to one service. Where the request before was given up without an answer, the next one leaves 250 ms
 * after the last sending of that one. How long answers take is noted.
 */
export function spacedUdp(clock: Clock, times: AnswerTimes, open: OpenUdp = openUdp): SpacedUdp {
  let sentMs = Number.NEGATIVE_INFINITY
  let isAnswered = true
  const openNoting: OpenUdp = async (options, call) => {
    const socket = await open(options, call)
    return {
      ...socket,
      send(bytes, to) {
        sentMs = clock.monotonicMs()
        isAnswered = false
        socket.send(bytes, to)
      }
    }
  }
  return async (request, call) => {
    const waitMs = sentMs + outstandingMs - clock.monotonicMs()
    if (!isAnswered && waitMs > 0) await clock.sleep(waitMs, call)
    const beganMs = clock.monotonicMs()
    try {
      const reply = await requestUdp({ ...request, clock, open: openNoting }, call)
      isAnswered = true
      times.note(clock.monotonicMs() - beganMs)
      return reply
    } catch (error) {
      // A refusal is an answer.
      isAnswered ||= !call.signal.aborted && isNatError(error) && !unanswered.has(error.code)
      throw error
    }
  }
}
