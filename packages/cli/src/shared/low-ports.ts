import type { EventReason, MappingEvent, Report } from '@postern/core'

/** The port below which many routers map neither external nor internal ports (`allow 1024-65535 … 1024-65535` of
 * miniupnpd). */
const firstOrdinaryPort = 1024

/** The codes with which routers refuse a port: each protocol has its own, and firmware uses any of them. */
const refusals: ReadonlySet<string> = new Set([
  'NOT_AUTHORIZED',
  'OUT_OF_RESOURCES',
  'QUOTA_EXCEEDED',
  'CONFLICT',
  'SAME_PORT_REQUIRED',
  'MALFORMED_REQUEST',
  'UNSUPPORTED',
  'GATEWAY_FAULT'
])
const absences: ReadonlySet<string> = new Set(['NO_REPLY', 'REFUSED', 'NO_SERVICE', 'UNSUPPORTED_VERSION'])

/** Returns the port of a mapping that is below 1024, the internal one first; undefined if there is none. */
export const lowPortOf = (internalPort: number, externalPort: number): number | undefined =>
  [internalPort, externalPort].find((port) => port < firstOrdinaryPort)

/** Returns why a router refuses a port below 1024, in place of the messages of each protocol. */
export const lowPortReason = (port: number): string =>
  `the router refuses port ${port}: many routers map no port below ${firstOrdinaryPort}`

/** Returns whether a reason can be the refusal of a low port. */
export const isLowPortRefusal = ({ code }: Pick<EventReason, 'code'>): boolean => refusals.has(code)

/** Returns whether a mapping probably failed because of its low port: all strategies were refused, or found nothing. */
export function isRefusedForLowPort({ event, reasons = [] }: MappingEvent): boolean {
  if (event !== 'failed' || !reasons.some(isLowPortRefusal)) return false
  return reasons.every(({ code }) => refusals.has(code) || absences.has(code))
}

/** Replaces the first advice for a refused low port: turning port mapping on does not help if it is on already. */
export const withLowPortAdvice = (report: Report, port: number | undefined): Report =>
  report.cause === 'gateway-refused' && port !== undefined
    ? {
        ...report,
        advice: [
          `Let the program listen on a port of ${firstOrdinaryPort} or above and map that one, or forward port ${port} in the router by hand.`,
          ...report.advice.slice(1)
        ]
      }
    : report
