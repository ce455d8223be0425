import type { HostFirewallReport, Report } from '@postern/core'
import { type CallOptions, familyOf, type Network, parseMultiaddr, printable } from '@postern/interface'
import type { FoundFirewall } from './host-firewall/found.js'
import { findOnLinux } from './host-firewall/linux.js'
import { findOnMacos } from './host-firewall/macos.js'
import { type RunTool, runTool } from './host-firewall/run-tool.js'
import { findOnWindows } from './host-firewall/windows.js'

/** What {@link findHostFirewall} takes from this machine; tests replace it. */
export interface ThisMachine {
  /** @default process.platform */
  readonly platform?: NodeJS.Platform
  /** The program that listens, for which a rule may be.
   * @default process.execPath */
  readonly program?: string
  /** @default runs the program */
  readonly run?: RunTool
}

/** The maximum length of a text of the firewall. */
const maxTextLength = 300

/** Stands in commands for the port if the user named none: doctor tries another one in each run. */
const placeholder = 'PORT'

/**
 * Finds out whether the firewall of this machine lets in TCP connections over IPv4 from the internet to a port. It only reads
 * rules. Resolves to null if no firewall is found, on a platform that is not known, or without a port; never rejects.
 *
 * @param port - the port that is tried
 * @param named - the port that the user named, which the commands are for
 */
export async function findHostFirewall(
  port: number | undefined,
  named: number | undefined,
  { gateways, addresses }: Network,
  call: CallOptions,
  { platform = process.platform, program = process.execPath, run = runTool }: ThisMachine = {}
): Promise<HostFirewallReport | null> {
  if (port === undefined) return null
  const gateway = gateways.find(({ address }) => familyOf(address) === 4)
  const syn = {
    port,
    interface: gateway?.interface,
    address: gateway?.localAddress ?? addresses.find((address) => familyOf(address) === 4)
  }
  const found =
    platform === 'linux'
      ? await findOnLinux(syn, run, call)
      : platform === 'win32'
        ? await findOnWindows(syn, program, run, call)
        : platform === 'darwin'
          ? await findOnMacos(program, run, call)
          : null
  return found === null || call.signal.aborted ? null : reportOf(found, named)
}

function reportOf({ tool, state, reason, open, show }: FoundFirewall, named: number | undefined): HostFirewallReport {
  const command =
    state === 'blocks'
      ? open?.(named === undefined ? placeholder : String(named))
      : state === 'unknown'
        ? show
        : undefined
  const shown = (text: string | null | undefined): string | null =>
    text == null ? null : printable(text, maxTextLength)
  return { tool, state, reason: shown(reason), command: shown(command) }
}

/**
 * Adds to a report what follows from the firewall of this machine. A port that a witness has reached is let in, whatever the
 * rules seem to say. If the rules drop connections, no IPv4 address can be public over TCP, although the router maps it.
 */
export function withHostFirewall(report: Report, named: number | undefined): Report {
  const { neighbourhood } = report
  if (neighbourhood == null || neighbourhood.hostFirewall === null) return report
  const isReached = tcpCandidates(report).some(({ state }) => state === 'verified')
  const { tool } = neighbourhood.hostFirewall
  const hostFirewall: HostFirewallReport = isReached
    ? { tool, state: 'lets-in', reason: 'a connection from outside has arrived', command: null }
    : neighbourhood.hostFirewall
  const whole = { ...report, neighbourhood: { ...neighbourhood, hostFirewall } }
  if (hostFirewall.state === 'blocks') return blocked(whole, hostFirewall, named)
  return hostFirewall.state === 'unknown' && isTriedInVain(report)
    ? { ...whole, advice: [...report.advice, unknownAdvice(hostFirewall)] }
    : whole
}

/** Formats the firewall of this machine for the section `Neighbourhood`; nothing unless it blocks. */
export const hostFirewallLines = ({ tool, state, reason }: HostFirewallReport): readonly string[] =>
  state === 'blocks'
    ? [`Firewall of this machine: ${toolNames[tool]} drops the connections${reason === null ? '' : ` (${reason})`}`]
    : []

const toolNames: Readonly<Record<HostFirewallReport['tool'], string>> = {
  ufw: 'ufw',
  firewalld: 'firewalld',
  nftables: 'nftables',
  iptables: 'iptables',
  windows: 'Windows Firewall',
  macos: 'the firewall of macOS'
}

/** Sentences about a cause that the firewall of this machine explains. */
const explained = [
  'Look for another router or a firewall behind',
  'Look for a firewall on this machine',
  'Name a witness'
]

function blocked(report: Report, firewall: HostFirewallReport, named: number | undefined): Report {
  const others = report.advice.filter((text) => !explained.some((start) => text.startsWith(start)))
  const advice = [blockedAdvice(firewall, named, isTriedInVain(report), connectionsOf(report)), ...others]
  // The connections end at this firewall, so nothing shows that the router does not forward them.
  if (report.cause === 'mapping-not-honoured') return { ...report, cause: 'blocked', advice }
  const isOnlyClaimed = report.cause === 'unverified' && (report.verdict === 'public' || report.verdict === 'unknown')
  const isOther = report.protocols?.udp === 'public' || mayBeOtherwise(report)
  if (!isOnlyClaimed || isOther) return { ...report, advice }
  const protocols =
    report.protocols === undefined ? {} : { protocols: { ...report.protocols, tcp: 'private' as const } }
  return { ...report, verdict: 'private', cause: 'blocked', advice, ...protocols }
}

/** Returns whether an address that is not of TCP over IPv4 may be reachable: the rules for IPv4 say nothing of it. */
const mayBeOtherwise = ({ candidates }: Report): boolean =>
  candidates.some(({ address, state }) => {
    const parsed = parseMultiaddr(address)
    const isHopeful = state === 'consistent' || state === 'verified'
    return isHopeful && parsed !== undefined && (parsed.family !== 4 || parsed.protocol !== 'tcp')
  })

/** Names the connections that the rules drop: only IPv4 was examined, which matters where IPv6 leads in as well. */
const connectionsOf = (report: Report): string =>
  report.candidates.some(({ address }) => parseMultiaddr(address)?.family === 6)
    ? 'connections over IPv4'
    : 'connections'

const tcpCandidates = ({ candidates }: Report): Report['candidates'] =>
  candidates.filter(({ address, type }) => {
    const parsed = parseMultiaddr(address)
    return type !== 'relayed' && parsed?.family === 4 && parsed.protocol === 'tcp'
  })

/** Returns whether a witness tried the port and could not reach it. */
const isTriedInVain = (report: Report): boolean =>
  tcpCandidates(report).some(({ evidence }) => evidence.some(({ outcome }) => outcome === 'unreachable'))

function blockedAdvice(
  { tool, reason, command }: HostFirewallReport,
  named: number | undefined,
  wasTried: boolean,
  connections: string
): string {
  const name = toolNames[tool]
  const what = wasTried
    ? `The firewall of this machine (${name}) is in the way: it drops ${connections} to the port, which is enough to keep the witnesses out. Whether the router forwards them shows after that`
    : `The firewall of this machine (${name}) drops ${connections} to the port, whatever the router does`
  const how = command === null ? (reason === null ? '' : `. ${capital(reason)}`) : `. Let them in: ${command}`
  const again =
    named === undefined
      ? '. The port of this run was a free one: put that of your server for PORT, and name it (postern doctor --port PORT).'
      : '.'
  return `${what}${how}${again}`
}

const unknownAdvice = ({ tool, reason, command }: HostFirewallReport): string =>
  `Look at the firewall of this machine (${toolNames[tool]}) too: whether it lets the connections in is not known${reason === null ? '' : `, because ${reason}`}.${command === null ? '' : ` See its rules: ${command}`}`

const capital = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`
