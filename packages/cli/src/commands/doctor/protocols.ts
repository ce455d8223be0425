import type { Report, Verdict } from '@postern/core'
import { isGlobal, type Protocol, parseMultiaddr } from '@postern/interface'
import type { UdpState } from './trial.js'

/** How reachable the temporary ports are over each transport protocol. */
export type ProtocolVerdicts = NonNullable<Report['protocols']>

/**
 * Returns the verdict about each protocol. The verdict of the report is `public` as soon as one of them can be reached,
 * and a web server needs TCP where a QUIC server needs UDP.
 */
export const protocolVerdicts = (report: Report): ProtocolVerdicts => ({
  tcp: verdictOf('tcp', report),
  udp: verdictOf('udp', report)
})

function verdictOf(protocol: Protocol, { verdict, cause, candidates, nat }: Report): Verdict {
  // The NAT has another port for each destination: one that a STUN server sees is for that server only.
  const isSymmetric = nat?.mapping === 'address-dependent' || nat?.mapping === 'address-and-port-dependent'
  const states = candidates.flatMap(({ address, type, state, endpoint }) => {
    const parsed = parseMultiaddr(address)
    if (type === 'relayed' || parsed?.protocol !== protocol || !isGlobal(parsed.address)) return []
    const isGuess = type === 'observed'
    const isForOne = isGuess && protocol === 'udp' && isSymmetric && parsed.port !== endpoint?.port
    return isForOne && state === 'claimed' ? [] : [{ state, isGuess }]
  })
  if (states.some(({ state }) => state === 'verified')) return 'public'
  const isBelieved = verdict === 'public' && cause === 'unverified'
  if (isBelieved && states.some(({ state, isGuess }) => state === 'consistent' && !isGuess)) return 'public'
  // The report calls a mapped address private that only the router claims.
  const isOpen = states.some(
    ({ state, isGuess }) => state === 'consistent' || (state === 'claimed' && (isGuess || verdict !== 'private'))
  )
  if (isOpen) return 'unknown'
  if (states.length > 0) return 'private'
  return verdict === 'public' ? 'unknown' : verdict
}

/** Formats the verdict `public` with the protocols that it holds for; undefined if it holds for both, or for none. */
export function publicOver({ tcp, udp }: ProtocolVerdicts): string | undefined {
  if ((tcp === 'public') === (udp === 'public')) return undefined
  const [reached, other] = tcp === 'public' ? (['TCP', udp] as const) : (['UDP', tcp] as const)
  return other === 'private' ? `over ${reached} only` : `over ${reached}`
}

const reachText: Readonly<Record<Verdict, string>> = {
  public: 'can be reached',
  relayed: 'can be reached through a relay',
  private: 'cannot be reached',
  unknown: 'not known whether it can be reached'
}

/** Formats one line for each protocol. */
export const protocolLines = ({ tcp, udp }: ProtocolVerdicts): readonly string[] => [
  `TCP: ${reachText[tcp]}`,
  `UDP: ${reachText[udp]}`
]

/** Adds the verdict about each protocol to a report, if both were tried, and what to do about the one that cannot be
 * reached. */
export function withProtocols(report: Report, udp: UdpState): Report {
  if (udp === 'untried') return report
  const protocols = protocolVerdicts(report)
  const advice = [...protocolAdvice(report, protocols), ...report.advice]
  if (udp === 'unprovable' && protocols.udp === 'unknown')
    advice.push('Name two witnesses on other networks than the STUN servers: without them nothing is known of UDP.')
  const { tcp, udp: overUdp } = protocols
  const isPrivate = report.verdict === 'unknown' && tcp === 'private' && overUdp === 'private'
  const verdict = isPrivate ? 'private' : report.verdict
  return { ...report, verdict, protocols, advice }
}

function protocolAdvice(report: Report, { tcp, udp }: ProtocolVerdicts): readonly string[] {
  const { gateway, candidates } = report
  const local = candidates.find(({ endpoint }) => endpoint !== null)?.endpoint?.address ?? 'this machine'
  const where = gateway === null ? '' : ` in the settings of ${gateway.address}`
  const check = 'then run this again: it is checked'
  if (udp === 'public' && tcp === 'private') {
    return [
      'UDP can be reached; TCP cannot.',
      `For a server over TCP, such as a web server, forward its TCP port to ${local} by hand${where}, ${check}.`,
      ...keepAliveAdvice(report)
    ]
  }
  if (tcp === 'public' && udp === 'private') {
    return [
      'TCP can be reached; UDP cannot.',
      `For a server over UDP, such as QUIC or a game, forward its UDP port to ${local} by hand${where}, ${check}.`
    ]
  }
  if (tcp === 'public' && udp === 'unknown') return ['TCP can be reached; of UDP nothing is known.']
  return udp === 'public' && tcp === 'unknown'
    ? ['UDP can be reached; of TCP nothing is known.', ...keepAliveAdvice(report)]
    : []
}

/** Returns advice about a UDP address that no router maps: it belongs to one socket, and not to the port. */
function keepAliveAdvice({ candidates }: Report): readonly string[] {
  const isSockets = candidates.some(
    ({ address, type, state }) =>
      type === 'observed' && state === 'verified' && parseMultiaddr(address)?.protocol === 'udp'
  )
  return isSockets
    ? [
        'For a server over UDP, such as QUIC or a game, note that the NAT lets datagrams in to a socket only while that socket sends: unless its port is forwarded, it has to send to a STUN server every 15 s, as expose() of @postern/node does with stun.'
      ]
    : []
}
