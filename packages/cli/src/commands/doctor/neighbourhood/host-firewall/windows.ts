import type { CallOptions } from '@postern/interface'
import { powerShell, windowsProgram } from '@postern/net'
import { type Answer, all, any, known } from './chains.js'
import type { FoundFirewall } from './found.js'
import { isRecord } from './nft-conditions.js'
import { isFrom, isTo, type Syn } from './packet.js'
import type { RunTool } from './run-tool.js'

/**
 * Lists the profiles in use and the enabled inbound rules as JSON, through the COM object of the firewall (INetFwPolicy2,
 * INetFwRule). `Get-NetFirewallRule` with its filters takes half a minute, and the text of `netsh` is in the language of the
 * user.
 */
const script = `
$policy = New-Object -ComObject HNetCfg.FwPolicy2
$current = $policy.CurrentProfileTypes
$profiles = 1, 2, 4 | Where-Object { $current -band $_ } | ForEach-Object {
  [pscustomobject]@{ Profile = $_; Enabled = $policy.FirewallEnabled($_); BlockAll = $policy.BlockAllInboundTraffic($_); Default = [int]$policy.DefaultInboundAction($_) }
}
$rules = $policy.Rules | Where-Object { $_.Enabled -and $_.Direction -eq 1 -and ($_.Protocol -eq 6 -or $_.Protocol -eq 256) -and ($_.Profiles -band $current) } |
  Select-Object Name, ApplicationName, ServiceName, LocalAppPackageId, LocalPorts, LocalAddresses, RemoteAddresses, RemotePorts, InterfaceTypes, Profiles, Action
@{ Profiles = @($profiles); Rules = @($rules) } | ConvertTo-Json -Compress -Depth 3`

/** An object of the script's JSON. */
type Json = Readonly<Record<string, unknown>>

/** Asks the firewall of Windows. Resolves to null if PowerShell is not installed. */
export async function findOnWindows(
  syn: Syn,
  program: string,
  run: RunTool,
  call: CallOptions
): Promise<FoundFirewall | null> {
  const result = await run(windowsProgram(powerShell), ['-NoProfile', '-NonInteractive', '-Command', script], call)
  if (result === undefined) return null
  return readWindows(result.code === 0 ? result.stdout : '', syn, program)
}

/** Judges by the JSON of the script. Never throws.
 *
 * @param program - the path of the program that listens: rules may be for one program */
export function readWindows(text: string, syn: Syn, program: string): FoundFirewall {
  const open = (port: string): string =>
    `New-NetFirewallRule -DisplayName "Port ${port}" -Direction Inbound -Protocol TCP -LocalPort ${port} -Action Allow`
  const found = { tool: 'windows', open, show: 'Get-NetFirewallProfile' } as const
  const unknown: FoundFirewall = { ...found, state: 'unknown', reason: 'the rules could not be read' }
  const parsed = parse(text)
  if (parsed === undefined) return unknown
  const { profiles, rules } = parsed
  if (profiles.length === 0) return unknown
  const active = profiles.filter(({ Enabled }) => Enabled !== false)
  if (active.length === 0) return { ...found, state: 'inactive', reason: null }
  if (active.length > 1) return { ...found, state: 'unknown', reason: 'two network profiles are in use' }
  const [profile] = active
  if (profile?.['BlockAll'] === true)
    return {
      ...found,
      open: undefined,
      state: 'blocks',
      reason: 'the firewall blocks all incoming connections, also those that a rule allows'
    }
  const answers = rules.map((rule) => ({ rule, match: answerOf(rule, syn, program) }))
  const blocking = answers.filter(({ rule, match }) => rule['Action'] === 0 && match !== 'no')
  const isAllowed = any(answers.filter(({ rule }) => rule['Action'] === 1).map(({ match }) => match))
  // A rule that blocks goes before every rule that allows.
  const [first] = blocking.filter(({ match }) => match === 'yes')
  if (first !== undefined) {
    const remedy = typeof first.rule['ApplicationName'] === 'string' ? ' for this program' : ''
    return {
      ...found,
      open: undefined,
      state: 'blocks',
      reason: `a rule${remedy} blocks it, and goes before those that allow: change it with wf.msc`
    }
  }
  if (blocking.length > 0 || isAllowed === 'maybe')
    return { ...found, state: 'unknown', reason: 'a rule is not understood, or depends on the remote address' }
  if (isAllowed === 'yes') return { ...found, state: 'lets-in', reason: null }
  if (profile?.['Default'] === 1) return { ...found, state: 'lets-in', reason: null }
  return profile?.['Default'] === 0 ? { ...found, state: 'blocks', reason: 'no rule allows the port' } : unknown
}

function parse(text: string): { readonly profiles: readonly Json[]; readonly rules: readonly Json[] } | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    if (!isRecord(parsed)) return undefined
    const { Profiles, Rules } = parsed
    if (!Array.isArray(Profiles) || !Array.isArray(Rules)) return undefined
    return { profiles: Profiles.filter(isRecord), rules: Rules.filter(isRecord) }
  } catch {
    return undefined
  }
}

/** Returns whether a rule is for the packet. */
function answerOf(rule: Json, syn: Syn, program: string): Answer {
  const { ApplicationName, ServiceName, LocalAppPackageId, LocalPorts, RemotePorts, InterfaceTypes } = rule
  return all([
    isEmpty(ApplicationName) ? 'yes' : isProgram(ApplicationName, program),
    // The program is neither a service nor an app from the store.
    known(isEmpty(ServiceName)),
    known(isEmpty(LocalAppPackageId)),
    portAnswer(LocalPorts, syn.port),
    isEmpty(RemotePorts) ? 'yes' : 'maybe',
    isEmpty(InterfaceTypes) || InterfaceTypes === 'All' ? 'yes' : 'maybe',
    addressAnswer(rule['LocalAddresses'], (address, bits) => isTo(syn, address, bits)),
    addressAnswer(rule['RemoteAddresses'], isFrom)
  ])
}

const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === '' || value === '*'

function isProgram(path: unknown, program: string): Answer {
  if (typeof path !== 'string') return 'maybe'
  if (path === 'System') return 'no'
  // A variable such as %SystemRoot% stands for a folder that is not known here.
  const isSame = path.toLowerCase() === program.toLowerCase()
  return path.includes('%') && path.split('\\').at(-1)?.toLowerCase() === program.split('\\').at(-1)?.toLowerCase()
    ? 'maybe'
    : known(isSame)
}

function portAnswer(ports: unknown, port: number): Answer {
  if (isEmpty(ports)) return 'yes'
  if (typeof ports !== 'string') return 'maybe'
  return any(
    ports.split(',').map((part) => {
      const [, from, to = from] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? []
      // RPC, IPHTTPS and other names stand for ports of services of Windows.
      if (from === undefined) return /^\s*[A-Za-z][\w-]*\s*$/.test(part) ? 'no' : 'maybe'
      return known(Number(from) <= port && port <= Number(to))
    })
  )
}

/** Reads `192.168.0.0/255.255.0.0`, `10.0.0.0/8`, `LocalSubnet` and others. */
function addressAnswer(addresses: unknown, isIn: (address: string, bits: number) => Answer): Answer {
  if (isEmpty(addresses)) return 'yes'
  if (typeof addresses !== 'string') return 'maybe'
  return any(
    addresses.split(',').map((part) => {
      const [address = '', mask = '32'] = part.trim().split('/')
      if (/^LocalSubnet/i.test(address)) return 'no'
      if (address.includes(':')) return 'no'
      const bits = /^\d{1,2}$/.test(mask) ? Number(mask) : bitsOf(mask)
      return bits === undefined ? 'maybe' : isIn(address, bits)
    })
  )
}

function bitsOf(mask: string): number | undefined {
  const octets = mask.split('.').map(Number)
  if (octets.length !== 4 || octets.some((each) => !(each >= 0 && each <= 255))) return undefined
  const binary = octets.map((each) => each.toString(2).padStart(8, '0')).join('')
  return /^1*0*$/.test(binary) ? binary.replaceAll('0', '').length : undefined
}
