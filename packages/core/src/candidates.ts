import { canonicalAddress, type Endpoint, isGlobal, type MultiaddrText, parseMultiaddr } from '@postern/interface'
import type { CandidateReport, CandidateState, EvidenceReport } from './report.js'

/** An external address that might reach an endpoint. */
export interface Candidate {
  readonly address: MultiaddrText
  readonly type: CandidateReport['type']
  readonly strategy: string | null
  readonly endpoint: Endpoint | null
  /** Unix ms; null for what never lapses. */
  readonly expiresAt: number | null
  readonly evidence: readonly EvidenceReport[]
  /** What witnesses said in the last round that came to an end. */
  readonly ruling: 'verified' | 'refuted' | undefined
  /** While it is in the past, or undefined, the address may be announced: monotonic ms. */
  readonly heldDownUntilMs: number | undefined
}

export interface Candidates {
  readonly all: () => readonly Candidate[]
  get(address: string): Candidate | undefined
  /** Adds a candidate, or replaces the one of the same address and keeps what witnesses said of it. */
  put(candidate: Pick<Candidate, 'address' | 'type' | 'strategy' | 'endpoint' | 'expiresAt'>): void
  withdraw(address: string): void
  rule(address: string, changes: Partial<Pick<Candidate, 'evidence' | 'ruling' | 'heldDownUntilMs'>>): void
  state(candidate: Candidate): CandidateState
}

export function createCandidates(changed: () => void): Candidates {
  const table = new Map<string, Candidate>()
  const all = (): readonly Candidate[] => [...table.values()]
  return {
    all,
    get: (address) => table.get(address),
    put(candidate) {
      const before = table.get(candidate.address)
      table.set(candidate.address, {
        evidence: [],
        ruling: undefined,
        heldDownUntilMs: undefined,
        ...before,
        ...candidate
      })
      changed()
    },
    withdraw(address) {
      if (table.delete(address)) changed()
    },
    rule(address, changes) {
      const before = table.get(address)
      if (before === undefined) return
      table.set(address, { ...before, ...changes })
      changed()
    },
    state: (candidate) => candidate.ruling ?? (isConsistent(candidate, all()) ? 'consistent' : 'claimed')
  }
}

/** Globally routable, and contradicted by nothing known. */
function isConsistent(candidate: Candidate, all: readonly Candidate[]): boolean {
  const ours = parseMultiaddr(candidate.address)
  if (ours === undefined || !isGlobal(ours.address)) return false
  // A global IPv6 address says nothing of the firewall before it: without a pinhole it is only a claim.
  if (candidate.type === 'local') return ours.family === 4
  if (candidate.type !== 'manual') return true
  // The router knows its external address better than whoever typed one in.
  const told = all
    .filter(({ type }) => type === 'mapped')
    .map(({ address }) => parseMultiaddr(address))
    .filter((mapped) => mapped?.family === ours.family && isGlobal(mapped.address))
  return (
    told.length === 0 ||
    told.some((mapped) => canonicalAddress(mapped?.address ?? '') === canonicalAddress(ours.address))
  )
}
