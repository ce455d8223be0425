import type { EventReason, MappingEvent, Report } from '@postern/core'

/** Many routers map no port below this one: no external one, and none of this host (`allow 1024-65535 … 1024-65535` of miniupnpd). */
const firstOrdinaryPort = 1024

/** What routers answer to a port that they do not map: each protocol has other words for it, and firmware takes any. */
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

/** The port below 1024 among those of a mapping, the one of this host first; undefined where both are ordinary. */
export const lowPortOf = (internalPort: number, externalPort: number): number | undefined =>
  [internalPort, externalPort].find((port) => port < firstOrdinaryPort)

/** Why a router refuses a port below 1024, in a sentence that stands for what each protocol says of it. */
export const lowPortReason = (port: number): string =>
  `the router refuses port ${port}: many routers map no port below ${firstOrdinaryPort}`

/** Whether a reason is a router's refusal of a low port. */
export const isLowPortRefusal = ({ code }: Pick<EventReason, 'code'>): boolean => refusals.has(code)

/** Whether a mapping has failed because of its low port, as far as can be known: all strategies were refused, or have found nothing. */
export function isRefusedForLowPort({ event, reasons = [] }: MappingEvent): boolean {
  if (event !== 'failed' || !reasons.some(isLowPortRefusal)) return false
  return reasons.every(({ code }) => refusals.has(code) || absences.has(code))
}

/** The advice for a port that was refused for being low: to turn mapping on is no use where it is on. */
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
