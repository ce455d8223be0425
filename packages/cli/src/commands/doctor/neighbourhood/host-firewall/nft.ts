import {
  type Answer,
  all,
  type Chains,
  type Fate,
  type Fates,
  fatesOf,
  type Hook,
  type Rule,
  type Target
} from './chains.js'
import { answerOfMatch, contains, isRecord, type Sets, valueOf } from './nft-conditions.js'
import type { Syn } from './packet.js'

/** What one chain does with the packet. */
export interface HookFates extends Fates {
  /** The family and the name of the table: `inet filter`. */
  readonly table: string
  readonly chain: string
  /** Whether the chain translates addresses, so that an unclear rule may lead the packet elsewhere. */
  readonly isNat: boolean
  /** Whether it has rules, or a policy that drops. */
  readonly isActive: boolean
  /** Whether only the replies go through the chain, of which nothing is evaluated.
   * @default false */
  readonly isOfReplies?: boolean
}

interface Table {
  readonly name: string
  readonly hooks: (Hook & { readonly isNat: boolean; readonly isOfReplies: boolean })[]
  readonly rules: Map<string, Rule[]>
  readonly sets: Map<string, readonly unknown[]>
  /** The flags of the table, as they are listed. */
  readonly flags: Set<unknown>
}

/**
 * Evaluates the output of `nft -j list ruleset` (libnftables-json(5)): what each chain does through which the packet goes
 * before a program of this machine receives it. Returns undefined for text of another kind. Never throws.
 *
 * @param isKnown - returns whether a table is examined elsewhere, because iptables made it
 */
export function evaluateNft(
  text: string,
  syn: Syn,
  isKnown: (table: string) => boolean = () => false
): readonly HookFates[] | undefined {
  const objects = objectsOf(text)
  if (objects === undefined) return undefined
  const tables = new Map<string, Table>()
  const tableOf = ({ family, table }: Readonly<Record<string, unknown>>): Table => {
    const name = `${String(family)} ${String(table)}`
    const found = tables.get(name) ?? { name, hooks: [], rules: new Map(), sets: new Map(), flags: new Set() }
    tables.set(name, found)
    return found
  }
  for (const { table, chain, set, map } of objects) {
    if (isRecord(table)) addFlags(table, tableOf({ ...table, table: table['name'] }))
    if (isRecord(chain)) addChain(chain, tableOf(chain), syn)
    for (const each of [set, map]) {
      if (isRecord(each)) tableOf(each).sets.set(String(each['name']), Array.isArray(each['elem']) ? each['elem'] : [])
    }
  }
  const ruleObjects = objects.map(({ rule }) => rule).filter(isRecord)
  const packet = { ...syn, isTracked: !ruleObjects.some(({ expr }) => isUntracking(expr)) }
  // Rules may name sets that are listed later.
  for (const rule of ruleObjects) {
    const { rules, sets } = tableOf(rule)
    const chain = rules.get(String(rule['chain']))
    if (chain !== undefined) for (const each of rulesOf(rule['expr'], packet, sets)) chain.push(each)
  }
  return [...tables.values()]
    .filter(({ name, flags }) => !isKnown(name) && !flags.has('dormant'))
    .flatMap(({ name, hooks, rules, flags }) =>
      hooks.map((hook) => {
        const evaluated = evaluateHook(name, hook, rules)
        // A flag that is not known may mean that the kernel leaves the table out.
        return [...flags].every((flag) => activeFlags.has(flag)) ? evaluated : { ...evaluated, fates: eitherFate }
      })
    )
}

/** Flags of tables that are in force. nft 1.0.6 lists the name of the table in place of its flag, so that `dormant`
 * cannot be told from these there. */
const activeFlags: ReadonlySet<unknown> = new Set(['owner', 'persist'])
const eitherFate: ReadonlySet<Fate> = new Set<Fate>(['accept', 'drop'])

function addFlags({ flags }: Readonly<Record<string, unknown>>, table: Table): void {
  if (flags === undefined) return
  for (const flag of Array.isArray(flags) ? (flags as readonly unknown[]) : [flags]) table.flags.add(flag)
}

const isUntracking = (expressions: unknown): boolean =>
  Array.isArray(expressions) && expressions.some((each: unknown) => isRecord(each) && 'notrack' in each)

function objectsOf(text: string): readonly Readonly<Record<string, unknown>>[] | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    if (!isRecord(parsed) || !Array.isArray(parsed['nftables'])) return undefined
    return parsed['nftables'].filter(isRecord)
  } catch {
    return undefined
  }
}

function evaluateHook(table: string, hook: Table['hooks'][number], rules: Chains): HookFates {
  const isActive = hook.policy === 'drop' || (rules.get(hook.chain)?.length ?? 0) > 0
  const { chain, isNat, isOfReplies } = hook
  const evaluated = isOfReplies ? { fates: new Set<Fate>(['accept']), isUnclear: false } : fatesOf(rules, hook)
  return { table, chain, isNat, isActive, isOfReplies, ...evaluated }
}

function addChain(chain: Readonly<Record<string, unknown>>, { hooks, rules }: Table, syn: Syn): void {
  const { family, hook, type, policy } = chain
  const name = String(chain['name'])
  rules.set(name, [])
  const isOnPath =
    hook === 'ingress'
      ? (family === 'netdev' || family === 'inet') && isOfDevice(chain['dev'], syn)
      : (hook === 'input' || hook === 'prerouting') && (family === 'ip' || family === 'inet')
  const isOfReplies = hook === 'output' && type === 'filter' && (family === 'ip' || family === 'inet')
  if (isOnPath || isOfReplies)
    hooks.push({ chain: name, policy: policy === 'drop' ? 'drop' : 'accept', isNat: type === 'nat', isOfReplies })
}

const isOfDevice = (device: unknown, { interface: own }: Syn): boolean =>
  own === undefined || (Array.isArray(device) ? device.includes(own) : device === own)

/** Returns a rule of nftables as rules with one target each: a verdict map has several. */
function rulesOf(expressions: unknown, syn: Syn, sets: Sets): readonly Rule[] {
  if (!Array.isArray(expressions)) return [{ match: 'maybe', target: 'unclear' }]
  const answers: Answer[] = []
  const rules: Rule[] = []
  for (const each of expressions as readonly unknown[]) {
    const [entry] = isRecord(each) ? Object.entries(each) : []
    if (entry === undefined) return [...rules, { match: all(answers), target: 'unclear' }]
    const [name, value] = entry
    if (name === 'match') {
      answers.push(answerOfMatch(value, syn, sets))
      continue
    }
    if (harmless.has(name)) continue
    if (limiting.has(name)) {
      answers.push('maybe')
      continue
    }
    if (name === 'vmap') return [...rules, ...vmapRules(value, all(answers), syn, sets)]
    // A statement that is not understood may decide about the packet; if it does not, those after it may.
    const target = targetOf(name, value)
    rules.push({ match: all(answers), target })
    if (target !== 'unclear') return rules
  }
  return rules
}

/** Statements that decide nothing about a packet. `set` and `map` add elements. */
const harmless = new Set([
  'counter',
  'log',
  'set',
  'map',
  'mangle',
  'notrack',
  'ct helper',
  'ct timeout',
  'flow',
  'last'
])
/** Statements that match as long as a limit is not reached. */
const limiting = new Set(['limit', 'quota', 'ct count', 'meter', 'connlimit'])

function targetOf(name: string, value: unknown): Target {
  switch (name) {
    case 'accept':
    case 'drop':
    case 'return':
      return name
    case 'reject':
      return 'drop'
    case 'continue':
    case 'snat':
    case 'masquerade':
      return 'none'
    case 'jump':
    case 'goto':
      if (!isRecord(value)) return 'unclear'
      return { jump: String(value['target']), isGoto: name === 'goto' }
    default:
      return 'unclear'
  }
}

/** Returns one rule for each element of a verdict map, `vmap`. */
function vmapRules(vmap: unknown, before: Answer, syn: Syn, sets: Sets): readonly Rule[] {
  const unclear: readonly Rule[] = [{ match: before, target: 'unclear' }]
  if (!isRecord(vmap)) return unclear
  const { key, data } = vmap
  const compare = valueOf(key, syn)
  if (compare === 'no') return []
  const named = typeof data === 'string' ? sets.get(data.replace(/^@/, '')) : undefined
  const elements: unknown = named ?? (isRecord(data) ? data['set'] : undefined)
  if (!Array.isArray(elements)) return unclear
  return elements.flatMap((element: unknown): readonly Rule[] => {
    if (!Array.isArray(element)) return unclear
    const [value, verdict]: readonly unknown[] = element
    const [entry] = isRecord(verdict) ? Object.entries(verdict) : []
    const match = all([before, contains(value, compare, sets)])
    return [{ match, target: entry === undefined ? 'unclear' : targetOf(entry[0], entry[1]) }]
  })
}
