/** Whether a condition holds for the packet. `maybe` for a condition that is not understood, or that depends on what is
 * not known, such as the address of the remote host. */
export type Answer = 'yes' | 'no' | 'maybe'

/** What becomes of a packet. */
export type Fate = 'accept' | 'drop'

/** What a rule does with a packet that matches. `none`: it only counts or logs. `unclear`: it is not understood, or it sends
 * the packet elsewhere. */
export type Target = Fate | 'return' | 'none' | 'unclear' | { readonly jump: string; readonly isGoto?: boolean }

/** A rule of a packet filter, with the answer for one packet. */
export interface Rule {
  readonly match: Answer
  readonly target: Target
}

/** The chains of one table by name. */
export type Chains = ReadonlyMap<string, readonly Rule[]>

/** A chain that the kernel calls for each arriving packet. */
export interface Hook {
  readonly chain: string
  /** What becomes of a packet that no rule decides about. */
  readonly policy: Fate
}

/** The result of {@link fatesOf}. */
export interface Fates {
  /** Everything that may become of the packet; one entry if the rules decide it. */
  readonly fates: ReadonlySet<Fate>
  /** Whether a rule may change the packet, or send it elsewhere. */
  readonly isUnclear: boolean
}

/** What a chain may do: decide, or hand the packet back to the chain that jumped to it. */
type Way = Fate | 'through' | 'unclear'

/** The maximum depth of jumps. nftables allows 16 (NFT_JUMP_STACK_SIZE). */
const maxDepth = 16

/**
 * Returns everything that may become of a packet that goes through a chain. The rules are followed in order; one that may
 * match leaves both outcomes possible: what it does, and what the rules after it do. Never throws; chains that jump to
 * themselves leave every outcome possible.
 */
export function fatesOf(chains: Chains, { chain, policy }: Hook): Fates {
  const known = new Map<string, ReadonlySet<Way>>()

  function waysOf(name: string, depth: number): ReadonlySet<Way> {
    const before = known.get(name)
    if (before !== undefined) return before
    const rules = chains.get(name)
    if (rules === undefined || depth > maxDepth) return everything
    // A loop reads this value. The kernel refuses loops, so the text is not of a kernel.
    known.set(name, everything)
    const ways = follow(rules, (target) => waysOf(target, depth + 1))
    known.set(name, ways)
    return ways
  }

  const ways = waysOf(chain, 0)
  const fates = new Set<Fate>()
  for (const way of ways) {
    if (way === 'accept' || way === 'drop') fates.add(way)
    else if (way === 'through') fates.add(policy)
    else for (const each of ['accept', 'drop'] as const) fates.add(each)
  }
  return { fates, isUnclear: ways.has('unclear') }
}

const everything: ReadonlySet<Way> = new Set<Way>(['accept', 'drop', 'through', 'unclear'])

function follow(rules: readonly Rule[], jumpTo: (chain: string) => ReadonlySet<Way>): ReadonlySet<Way> {
  const ways = new Set<Way>()
  for (const { match, target } of rules) {
    if (match === 'no' || target === 'none') continue
    const { adds, isEnd } = effectOf(target, jumpTo)
    for (const each of adds) ways.add(each)
    if (isEnd && match === 'yes') return ways
  }
  return ways.add('through')
}

/** Returns what a matching rule adds to the ways, and whether no later rule sees the packet. */
function effectOf(
  target: Exclude<Target, 'none'>,
  jumpTo: (chain: string) => ReadonlySet<Way>
): { readonly adds: readonly Way[]; readonly isEnd: boolean } {
  if (target === 'unclear') return { adds: ['unclear'], isEnd: false }
  if (target === 'return') return { adds: ['through'], isEnd: true }
  if (typeof target === 'string') return { adds: [target], isEnd: true }
  const ways = [...jumpTo(target.jump)]
  if (target.isGoto === true) return { adds: ways, isEnd: true }
  // The packet comes back where the chain hands it back.
  return { adds: ways.filter((way) => way !== 'through'), isEnd: !ways.includes('through') }
}

/** Returns the answer for conditions that must all hold. */
export function all(answers: readonly Answer[]): Answer {
  if (answers.includes('no')) return 'no'
  return answers.includes('maybe') ? 'maybe' : 'yes'
}

/** Returns the answer for conditions of which one must hold. */
export function any(answers: readonly Answer[]): Answer {
  if (answers.includes('yes')) return 'yes'
  return answers.includes('maybe') ? 'maybe' : 'no'
}

/** Returns the opposite answer. */
export const not = (answer: Answer): Answer => (answer === 'maybe' ? 'maybe' : answer === 'yes' ? 'no' : 'yes')

/** Returns the answer for a condition that is known. */
export const known = (isTrue: boolean): Answer => (isTrue ? 'yes' : 'no')
