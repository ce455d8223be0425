import type { CallOptions } from '@postern/interface'
import type { FoundFirewall } from './found.js'
import type { Syn } from './packet.js'
import type { RunTool } from './run-tool.js'

/** The TCP ports of the services that zones have by default, or often. Another service makes the answer unknown. */
const servicePorts: Readonly<Record<string, readonly number[]>> = {
  ssh: [22],
  'dhcpv6-client': [],
  mdns: [],
  'samba-client': [],
  cockpit: [9090],
  http: [80],
  https: [443],
  ipp: [631],
  'ipp-client': []
}

/** Asks firewalld, which answers every user of a desktop. Resolves to undefined if it does not run. */
export async function askFirewalld(
  { port, interface: device }: Syn,
  run: RunTool,
  call: CallOptions
): Promise<FoundFirewall | undefined> {
  const ask = async (...args: readonly string[]): Promise<string | undefined> => {
    const result = await run('firewall-cmd', args, call)
    return result?.code === 0 ? result.stdout.trim() : undefined
  }
  if ((await ask('--state')) !== 'running') return undefined
  const named = device === undefined ? undefined : await ask(`--get-zone-of-interface=${device}`)
  const zone = named ?? (await ask('--get-default-zone'))
  const isName = zone !== undefined && /^[\w-]{1,64}$/.test(zone)
  const [listed, active] = isName
    ? await Promise.all([ask(`--zone=${zone}`, '--list-all'), ask('--get-active-zones')])
    : []
  const state = listed === undefined ? 'unknown' : stateOfZone(listed, active ?? 'sources:', port)
  return {
    tool: 'firewalld',
    state,
    reason:
      state === 'blocks'
        ? `the zone ${zone} does not have the port`
        : state === 'lets-in'
          ? null
          : 'this user may not read the rules, or they are not understood',
    open: (open) => `sudo firewall-cmd${isName ? ` --zone=${zone}` : ''} --add-port=${open}/tcp`,
    show: 'sudo firewall-cmd --list-all-zones'
  }
}

/** Reads the output of `firewall-cmd --zone=… --list-all` and of `--get-active-zones` (firewall-cmd(1)). */
export function stateOfZone(listed: string, active: string, port: number): 'blocks' | 'lets-in' | 'unknown' {
  // Connections from a source may belong to another zone.
  if (/^\s+sources:/m.test(active)) return 'unknown'
  const valueOf = (name: string): string | undefined => new RegExp(`^ {2}${name}:(.*)$`, 'm').exec(listed)?.[1]?.trim()
  const [target, ports, services] = [valueOf('target'), valueOf('ports'), valueOf('services')]
  if (target === undefined || ports === undefined || services === undefined) return 'unknown'
  // Rich rules are listed below the heading, and may also reject.
  if (/^ {2}rich rules:\s*\S/m.test(listed)) return 'unknown'
  if (['forward-ports', 'protocols', 'source-ports'].some((name) => (valueOf(name) ?? '') !== '')) return 'unknown'
  const words = (text: string): readonly string[] => text.split(/\s+/).filter((each) => each !== '')
  if (target === 'ACCEPT' || words(ports).some((each) => hasPort(each, port))) return 'lets-in'
  const known = words(services).map((name) => (Object.hasOwn(servicePorts, name) ? servicePorts[name] : undefined))
  if (known.some((each) => each?.includes(port))) return 'lets-in'
  if (known.includes(undefined)) return 'unknown'
  return /^(?:default|%%REJECT%%|DROP)$/.test(target) ? 'blocks' : 'unknown'
}

/** Returns whether `8080/tcp` or `9000-9010/tcp` contains a port. */
function hasPort(text: string, port: number): boolean {
  const [, from, to = from] = /^(\d+)(?:-(\d+))?\/tcp$/.exec(text) ?? []
  return from !== undefined && Number(from) <= port && port <= Number(to)
}
