import { readFile } from 'node:fs/promises'
import type { CallOptions } from '@postern/interface'
import { askFirewalld } from './firewalld.js'
import type { FoundFirewall } from './found.js'
import { evaluateIptables, type Iptables } from './iptables.js'
import { evaluateNft, type HookFates } from './nft.js'
import type { Syn } from './packet.js'
import type { RunTool } from './run-tool.js'

/** Finds out what the packet filter of Linux does with the packet. Resolves to null if no program is installed that shows
 * its rules. */
export async function findOnLinux(syn: Syn, run: RunTool, call: CallOptions): Promise<FoundFirewall | null> {
  const [save, nft] = await Promise.all([run('iptables-save', [], call), run('nft', ['-j', 'list', 'ruleset'], call)])
  const iptables = save?.code === 0 ? evaluateIptables(save.stdout, syn) : undefined
  const isKnown = (table: string): boolean => iptables?.tables.has(table) ?? false
  const tables = nft?.code === 0 ? evaluateNft(nft.stdout, syn, isKnown) : undefined
  // An older kernel has rules that nft does not show, so that a part of the rules may be missing.
  if (tables !== undefined || (iptables !== undefined && nft === undefined)) {
    return judge(iptables, tables ?? [], tables === undefined ? 'iptables' : 'nftables')
  }
  return (
    (await askUfw()) ??
    (await askFirewalld(syn, run, call)) ??
    (nft === undefined && save === undefined ? null : unreadable(nft === undefined ? 'iptables' : 'nftables'))
  )
}

/** Judges by the rules that could be read. */
export function judge(
  iptables: Pick<Iptables, 'hooks' | 'isUfw' | 'isPartial'> | undefined,
  tables: readonly HookFates[],
  tool: 'nftables' | 'iptables'
): FoundFirewall {
  const all = [...(iptables?.hooks ?? []), ...tables]
  const describe = (hook: HookFates): Pick<FoundFirewall, 'tool' | 'open' | 'show'> =>
    describeHook(hook, iptables?.hooks.includes(hook) ?? false, iptables?.isUfw ?? false)
  const diverted = all.find(({ isNat, isUnclear }) => isNat && isUnclear)
  if (diverted !== undefined)
    return {
      ...describe(diverted),
      state: 'unknown',
      reason: `a rule of ${placeOf(diverted)} may lead connections elsewhere`
    }
  const blocking = all.find(({ fates }) => fates.size === 1 && fates.has('drop'))
  if (blocking !== undefined)
    return { ...describe(blocking), state: 'blocks', reason: `${placeOf(blocking)} accepts no connection to the port` }
  const doubtful = all.find(({ fates }) => fates.size > 1)
  if (doubtful !== undefined)
    return { ...describe(doubtful), state: 'unknown', reason: `a rule of ${placeOf(doubtful)} is not understood` }
  if (iptables?.isPartial === true)
    return { tool, state: 'unknown', reason: 'a part of the rules is not shown', show: 'sudo iptables-legacy-save' }
  const active = all.filter(({ isActive }) => isActive)
  const [known] = active.filter(({ isOfReplies = false }) => !isOfReplies)
  if (known !== undefined) return { ...describe(known), state: 'lets-in', reason: null }
  const [ofReplies] = active
  if (ofReplies === undefined) return { tool, state: 'inactive', reason: null }
  const { show } = describe(ofReplies)
  return {
    tool,
    show,
    state: 'unknown',
    reason: `${placeOf(ofReplies)}, which the replies go through, is not examined`
  }
}

const placeOf = ({ table, chain }: HookFates): string => `the chain ${chain} of the table ${table}`

function describeHook(
  { table, chain }: HookFates,
  isIptables: boolean,
  isUfw: boolean
): Pick<FoundFirewall, 'tool' | 'open' | 'show'> {
  if (isIptables && isUfw)
    return { tool: 'ufw', open: (port) => `sudo ufw allow ${port}/tcp`, show: 'sudo ufw status verbose' }
  if (isIptables) {
    const name = table.replace('ip ', '')
    const where = name === 'filter' ? '' : ` -t ${name}`
    return {
      tool: 'iptables',
      open: (port) => `sudo iptables${where} -I ${chain} -p tcp --dport ${port} -j ACCEPT`,
      show: 'sudo iptables-save'
    }
  }
  if (/^\w+ firewalld$/.test(table))
    return {
      tool: 'firewalld',
      open: (port) => `sudo firewall-cmd --add-port=${port}/tcp`,
      show: 'sudo firewall-cmd --list-all'
    }
  // The names come from the rules of this machine; a command with any other character would need quotes.
  const isPlain = /^[\w. -]+$/.test(`${table}${chain}`)
  return {
    tool: 'nftables',
    open: isPlain ? (port) => `sudo nft insert rule ${table} ${chain} tcp dport ${port} accept` : undefined,
    show: 'sudo nft list ruleset'
  }
}

const unreadable = (tool: 'nftables' | 'iptables'): FoundFirewall => ({
  tool,
  state: 'unknown',
  reason: 'this user may not read the rules',
  show: tool === 'iptables' ? 'sudo iptables-save' : 'sudo nft list ruleset'
})

/** Reads whether ufw is on, which every user may. Resolves to undefined if it is off, or not installed. */
async function askUfw(): Promise<FoundFirewall | undefined> {
  const text = await readFile('/etc/ufw/ufw.conf', 'utf8').catch(() => '')
  if (!isUfwOn(text)) return undefined
  return {
    tool: 'ufw',
    state: 'unknown',
    reason: 'ufw is on, and this user may not read its rules',
    open: (port) => `sudo ufw allow ${port}/tcp`,
    show: 'sudo ufw status verbose'
  }
}

/** Returns whether the text of `/etc/ufw/ufw.conf` turns ufw on. */
export const isUfwOn = (text: string): boolean => /^\s*ENABLED\s*=\s*"?yes"?\s*$/im.test(text)
