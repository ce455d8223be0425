import type { CallOptions } from '@postern/interface'
import type { FoundFirewall } from './found.js'
import type { RunTool } from './run-tool.js'

const tool = '/usr/libexec/ApplicationFirewall/socketfilterfw'

/** What the programs of macOS print; empty for one that failed. */
export interface MacosTexts {
  /** `socketfilterfw --getglobalstate` */
  readonly globalState: string
  /** `socketfilterfw --getblockall` */
  readonly blockAll: string
  /** `socketfilterfw --listapps` */
  readonly apps: string
  /** `pfctl -s info`, which only root may run */
  readonly packetFilter: string
}

/** Asks the application firewall of macOS, and the packet filter if this user may. Resolves to null if neither is
 * installed. */
export async function findOnMacos(program: string, run: RunTool, call: CallOptions): Promise<FoundFirewall | null> {
  const [state, block, apps, packetFilter] = await Promise.all([
    run(tool, ['--getglobalstate'], call),
    run(tool, ['--getblockall'], call),
    run(tool, ['--listapps'], call),
    run('pfctl', ['-s', 'info'], call)
  ])
  if (state === undefined) return null
  const textOf = (result: Awaited<ReturnType<RunTool>>): string => (result?.code === 0 ? result.stdout : '')
  return readMacos(
    { globalState: textOf(state), blockAll: textOf(block), apps: textOf(apps), packetFilter: textOf(packetFilter) },
    program
  )
}

/** Judges by the texts. The application firewall decides by program and not by port. Never throws.
 *
 * @param program - the path of the program that listens */
export function readMacos({ globalState, blockAll, apps, packetFilter }: MacosTexts, program: string): FoundFirewall {
  const settings = 'System Settings > Network > Firewall > Options'
  const allow = `sudo ${tool} --unblockapp ${/^[\w./@-]+$/.test(program) ? program : `"${program.replaceAll(/["$`\\]/g, '')}"`}`
  const found = { tool: 'macos', show: `${tool} --listapps` } as const
  const number = /\(State = (\d+)\)/.exec(globalState)?.[1]
  if (number !== '0' && number !== '1' && number !== '2')
    return { ...found, state: 'unknown', reason: 'the state of the firewall could not be read' }
  const blocksAll = number === '2' || isOn(blockAll) === true
  if (number !== '0' && blocksAll)
    return { ...found, state: 'blocks', reason: `the firewall blocks all incoming connections: see ${settings}` }
  const isAllowed = number === '0' ? undefined : appsOf(apps).get(program)
  if (isAllowed === false)
    return { ...found, open: () => allow, state: 'blocks', reason: `the firewall blocks this program: see ${settings}` }
  if (number !== '0' && isAllowed === undefined)
    return {
      ...found,
      open: () => allow,
      state: 'unknown',
      reason: `the firewall is on, and has no entry for this program: it may ask on the screen, or see ${settings}`
    }
  // The packet filter decides besides, with rules that are not read here.
  if (/^Status: Enabled/m.test(packetFilter))
    return {
      ...found,
      show: 'sudo pfctl -s rules',
      state: 'unknown',
      reason: 'the packet filter (pf) is on, and its rules are not read'
    }
  const isOff = /^Status: Disabled/m.test(packetFilter)
  if (number === '0')
    return {
      ...found,
      state: 'inactive',
      reason: isOff ? null : 'this user may not read whether the packet filter (pf) is on'
    }
  return isOff
    ? { ...found, state: 'lets-in', reason: null }
    : {
        ...found,
        show: 'sudo pfctl -s info',
        state: 'unknown',
        reason:
          'the application firewall lets this program in; this user may not read whether the packet filter (pf) does'
      }
}

/** Reads `Block all DISABLED!` and `Firewall has block all state set to disabled.`; undefined for another text. */
function isOn(text: string): boolean | undefined {
  if (/\bdisabled\b|specific services/i.test(text)) return false
  return /\benabled\b|all non-essential/i.test(text) ? true : undefined
}

/** Reads the programs of `--listapps`, and whether each may accept connections. */
function appsOf(text: string): ReadonlyMap<string, boolean> {
  const apps = new Map<string, boolean>()
  let path: string | undefined
  for (const line of text.split('\n')) {
    const named = /^\s*\d+ : +(\S.*?)\s*(?:\(.*)?$/.exec(line)?.[1]
    path = named ?? path
    const verdict = /\( ?(Allow|Block) incoming connections ?\)/.exec(line)?.[1]
    if (path === undefined || verdict === undefined) continue
    apps.set(path, verdict === 'Allow')
    path = undefined
  }
  return apps
}
