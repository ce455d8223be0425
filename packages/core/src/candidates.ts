import {
  canonicalAddress,
  type Endpoint,
  familyOf,
  isGlobal,
  type MultiaddrText,
  parseMultiaddr
} from '@postern/interface'
import type { Doubts } from './doubts.js'
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
  /** The IP address in it, and whether hosts on the internet could send to that. */
  readonly host: string | undefined
  readonly isGlobal: boolean
}

export interface Candidates {
  readonly all: () => readonly Candidate[]
  get(address: string): Candidate | undefined
  /** Adds a candidate, or replaces the one of the same address and keeps what witnesses said of it. */
  put(candidate: Pick<Candidate, 'address' | 'type' | 'strategy' | 'endpoint' | 'expiresAt'>): void
  withdraw(address: string): void
  rule(address: string, changes: Partial<Pick<Candidate, 'evidence' | 'ruling'>>): void
  state(candidate: Candidate): CandidateState
}

export function createCandidates(doubts: Doubts, changed: () => void): Candidates {
  const table = new Map<string, Candidate>()
  const all = (): readonly Candidate[] => [...table.values()]
  return {
    all,
    get: (address) => table.get(address),
    put(candidate) {
      const before = table.get(candidate.address)
      const host = parseMultiaddr(candidate.address)?.address
      const fresh = {
        evidence: [],
        ruling: undefined,
        host: canonicalAddress(host ?? ''),
        isGlobal: isGlobal(host ?? '')
      }
      table.set(candidate.address, { ...fresh, ...before, ...candidate })
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
    state: (candidate) => candidate.ruling ?? (isConsistent(candidate, all(), doubts) ? 'consistent' : 'claimed')
  }
}

/** Globally routable, and contradicted by nothing known. */
function isConsistent({ host, isGlobal: global, type }: Candidate, all: readonly Candidate[], doubts: Doubts): boolean {
  if (!global || host === undefined) return false
  const isIpv4 = familyOf(host) === 4
  // A global IPv6 address says nothing of the firewall before it: without a pinhole it is only a claim.
  if (type === 'local') return isIpv4
  if (type !== 'manual') return doubts.clears(host)
  // The router knows its external address better than whoever typed one in.
  const told = all.filter(
    (other) => other.type === 'mapped' && other.isGlobal && (familyOf(other.host ?? '') === 4) === isIpv4
  )
  return told.length === 0 || told.some((other) => other.host === host)
}
