import type { Cause, Report, StrategyReport, StrategyState, Verdict } from '@postern/core'

/** The words for each verdict. */
export const verdictWords: Readonly<Record<Verdict, string>> = {
  public: 'Reachable from outside',
  relayed: 'Reachable through another host only',
  private: 'Not reachable from outside',
  unknown: 'Not known yet'
}

/** What each cause means, as a sentence. */
export const causeWords: Readonly<Record<Cause, string>> = {
  'no-route': 'This machine is in no network.',
  'no-mapping-service': 'The router answers no protocol with which a port can be mapped.',
  'gateway-refused': 'The router offers to map ports, and refuses.',
  'double-nat': 'The router stands behind another router, and not both of them map the port.',
  'carrier-nat': 'The provider shares one address among several customers (carrier-grade NAT).',
  'reserved-external-address': 'The internet cannot reach the address that the router has.',
  'mapping-not-honoured': 'The router says that it has mapped the port, and no connection gets through.',
  blocked: 'Connections from outside do not arrive: a firewall or the router stops them.',
  unverified: 'No host outside has tried it yet.',
  'vpn-default-route': 'Replies leave through a VPN, so connections through the router cannot work.',
  'container-bridge': 'This program runs in a container: the next hop is the bridge of its host.',
  'loopback-only': 'The program listens on loopback only, which no other host can reach.'
}

/** The words for the states of a rung. */
export const stateWords: Readonly<Record<StrategyState, string>> = {
  active: 'in use',
  standby: 'ready, not needed',
  available: 'found, not asked yet',
  unavailable: 'not there',
  failed: 'failed',
  skipped: 'found, of no use'
}

const waitWords = { search: 'waits for an answer', grant: 'waits for a mapping' } as const

/** The codes of an exchange in which the router did not take part. */
const silentCodes: ReadonlySet<string> = new Set(['NO_REPLY', 'REFUSED', 'UNREACHABLE', 'ATTEMPT_TIMEOUT'])

/** Returns whether a mapping is in doubt: its lifetime is not over, and the router did not answer the last request about it. */
export const isDoubted = ({ kind, state, reason }: StrategyReport): boolean =>
  kind === 'mapper' && state === 'active' && reason !== null && silentCodes.has(reason.code)

/** Returns what a rung does now, in words. */
export function rungWords(rung: StrategyReport): string {
  if (rung.waitingFor !== undefined) return waitWords[rung.waitingFor]
  return isDoubted(rung) ? 'in doubt: no answer now' : stateWords[rung.state]
}

/** Returns the verdict and its cause in one line. */
export function verdictLine({ verdict, cause, protocols }: Report): string {
  const only = protocols !== undefined && protocols.tcp !== protocols.udp && verdict === 'public'
  const over = only ? `, over ${protocols.tcp === 'public' ? 'TCP' : 'UDP'} only` : ''
  const words =
    verdict === 'public' && cause === 'unverified' ? 'Probably reachable from outside' : verdictWords[verdict]
  return `${words}${over}.${cause === null ? '' : ` ${causeWords[cause]}`}`
}

/** Formats a length of time: `340 ms`, `12 s`, `3 min 20 s`, `1 h 59 min`. */
export function formatDuration(ms: number): string {
  const whole = Math.max(0, Math.round(ms))
  if (whole < 1000) return `${whole} ms`
  if (whole < 9950) return `${(whole / 1000).toFixed(1)} s`
  const seconds = Math.round(whole / 1000)
  if (seconds < 60) return `${seconds} s`
  return seconds < 3600 ? parts(seconds, 'min', 's') : parts(Math.floor(seconds / 60), 'h', 'min')
}

function parts(count: number, large: string, small: string): string {
  const rest = count % 60
  return `${Math.floor(count / 60)} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`
}

/** The longest name of a party that is shown whole. */
const maxPartyLength = 22

/** Shortens the id of a peer, the URL of a server, and other names of parties. */
export function shortParty(text: string): string {
  const plain = text.replace(/^https?:\/\//, '')
  return plain.length > maxPartyLength ? `${plain.slice(0, 10)}…${plain.slice(-6)}` : plain
}
