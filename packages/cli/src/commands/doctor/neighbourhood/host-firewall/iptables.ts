import { type Answer, all, any, fatesOf, known, not, type Rule, type Target } from './chains.js'
import type { HookFates } from './nft.js'
import { isFrom, isOn, isTo, type Syn } from './packet.js'

/** The chains through which a packet goes before a program of this machine receives it. */
const hooks: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING'],
  mangle: ['PREROUTING', 'INPUT'],
  nat: ['PREROUTING', 'INPUT'],
  filter: ['INPUT'],
  security: ['INPUT']
}

interface Table {
  readonly policies: Map<string, 'accept' | 'drop'>
  readonly rules: Map<string, Rule[]>
}

/** The rules of iptables. */
export interface Iptables {
  readonly hooks: readonly HookFates[]
  /** The tables, as nftables names those that iptables made: `ip filter`. */
  readonly tables: ReadonlySet<string>
  /** Whether the rules are those of ufw. */
  readonly isUfw: boolean
  /** Whether other rules exist that are not in the text. */
  readonly isPartial: boolean
}

/** Evaluates the output of `iptables-save` (iptables-save(8), iptables-extensions(8)). Never throws. */
export function evaluateIptables(text: string, syn: Syn): Iptables {
  const tables = new Map<string, Table>()
  let table: Table | undefined
  let name = ''
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      name = line.slice(1).trim()
      table = { policies: new Map(), rules: new Map() }
      tables.set(name, table)
    } else if (table !== undefined && line.startsWith(':')) {
      const [chain = '', policy] = line.slice(1).split(' ')
      table.rules.set(chain, [])
      if (policy === 'ACCEPT' || policy === 'DROP') table.policies.set(chain, policy === 'DROP' ? 'drop' : 'accept')
    }
  }
  table = undefined
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = tables.get(line.slice(1).trim())
    const [append, chain = '', ...words] = line.startsWith('-A ') ? wordsOf(line) : []
    if (append !== undefined) table?.rules.get(chain)?.push(ruleOf(words, syn, table.rules))
  }
  return {
    hooks: [...tables].flatMap(([each, { policies, rules }]) =>
      (hooks[each] ?? []).flatMap((chain): readonly HookFates[] => {
        const policy = policies.get(chain)
        if (policy === undefined) return []
        const isActive = policy === 'drop' || (rules.get(chain)?.length ?? 0) > 0
        return [{ table: `ip ${each}`, chain, isNat: each === 'nat', isActive, ...fatesOf(rules, { chain, policy }) }]
      })
    ),
    tables: new Set([...tables.keys()].map((each) => `ip ${each}`)),
    isUfw: tables.get('filter')?.rules.has('ufw-user-input') ?? false,
    isPartial: /^# (?:Warning: iptables-legacy tables present|Table `\w+' is incompatible)/m.test(text)
  }
}

/** Splits a line into words. Quoted words may contain spaces, and quotes after a backslash. */
const wordsOf = (line: string): readonly string[] =>
  Array.from(line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain ?? '')

function ruleOf(words: readonly string[], syn: Syn, chains: ReadonlyMap<string, unknown>): Rule {
  const answers: Answer[] = []
  let isNegated = false
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (word === '!') {
      isNegated = true
      continue
    }
    if (word === '-j' || word === '-g') {
      return { match: all(answers), target: targetOf(words[at + 1] ?? '', word === '-g', chains) }
    }
    const option = options[word]
    // Words of an option that is not known follow: each of them makes the rule a doubtful one too.
    if (option === undefined) answers.push('maybe')
    else {
      const answer = option.answer(words.slice(at + 1, at + 1 + option.words), syn)
      answers.push(isNegated ? not(answer) : answer)
      at += option.words
    }
    isNegated = false
  }
  return { match: all(answers), target: 'none' }
}

function targetOf(name: string, isGoto: boolean, chains: ReadonlyMap<string, unknown>): Target {
  if (chains.has(name)) return { jump: name, isGoto }
  if (name === 'ACCEPT') return 'accept'
  if (name === 'DROP' || name === 'REJECT') return 'drop'
  if (name === 'RETURN') return 'return'
  return harmless.has(name) ? 'none' : 'unclear'
}

/** Targets that decide nothing about a packet. */
const harmless = new Set(
  'LOG NFLOG ULOG MARK CONNMARK CT NOTRACK TRACE SET TCPMSS AUDIT CHECKSUM CLASSIFY DSCP TOS TTL SNAT MASQUERADE'.split(
    ' '
  )
)

interface Option {
  /** The number of words after the option. */
  readonly words: number
  readonly answer: (words: readonly string[], syn: Syn) => Answer
}

const one = (answer: (word: string, syn: Syn) => Answer): Option => ({
  words: 1,
  answer: ([word = ''], syn) => answer(word, syn)
})

const portsOption = one((word, { port }) =>
  any(
    word.split(',').map((part) => {
      const [from, to = from] = part.split(':').map(Number)
      if (from === undefined || to === undefined || Number.isNaN(from) || Number.isNaN(to)) return 'maybe'
      return known(from <= port && port <= to)
    })
  )
)
const stateOption = one((word) => known(word.split(',').includes('NEW')))

/** Modules that only name the options after them. */
const modules = new Set(['tcp', 'conntrack', 'state', 'multiport', 'addrtype', 'comment'])

const options: Readonly<Record<string, Option>> = {
  '-p': one((word) => (/^(?:tcp|6|all|0)$/.test(word) ? 'yes' : 'no')),
  '-i': one((word, syn) => isOn(syn, word)),
  '-s': one((word) => rangeAnswer(word, isFrom)),
  '-d': one((word, syn) => rangeAnswer(word, (address, bits) => isTo(syn, address, bits))),
  // A module for another protocol never matches; `-p` has said so already.
  '-m': one((word) => (modules.has(word) ? 'yes' : 'maybe')),
  '--dport': portsOption,
  '--dports': portsOption,
  '--ctstate': stateOption,
  '--state': stateOption,
  '--syn': { words: 0, answer: () => 'yes' },
  '--tcp-flags': { words: 2, answer: ([mask = '', wanted = '']) => flagsAnswer(mask.split(','), wanted) },
  '--dst-type': one((word) => known(word.split(',').some((each) => each === 'LOCAL'))),
  '--src-type': one((word) => (word === 'LOCAL' ? 'no' : 'maybe')),
  '--comment': one(() => 'yes')
}

function rangeAnswer(word: string, isIn: (address: string, bits: number) => Answer): Answer {
  const [address = '', bits = '32'] = word.split('/')
  return /^\d{1,2}$/.test(bits) ? isIn(address, Number(bits)) : 'maybe'
}

/** Answers for a SYN. All six flags may be named as `ALL`. */
function flagsAnswer(mask: readonly string[], wanted: string): Answer {
  const hasSyn = mask.includes('SYN') || mask.includes('ALL')
  return known(hasSyn ? wanted === 'SYN' : wanted === 'NONE')
}
