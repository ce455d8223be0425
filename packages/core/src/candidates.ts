import {
  canonicalAddress,
  type Endpoint,
  familyOf,
  type Gateway,
  type Mapper,
  isGlobal,
  isWildcard,
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
  /** The mapper that granted it, if one did. */
  readonly mapper: Mapper | null
  /** Unix ms; null for what never lapses. */
  readonly expiresAt: number | null
  /** Tells it from one that was withdrawn before under the same address. */
  readonly since: number
  readonly evidence: readonly EvidenceReport[]
  /** What witnesses said in the last round that came to an end. */
  readonly ruling: 'verified' | 'refuted' | undefined
  /** The IP address in it, and whether hosts on the internet could send to that. */
  readonly host: string | undefined
  readonly isGlobal: boolean
}

/** Whether a router has granted a port, and does not tell the address it is on. */
export const isAddressUnknown = (address: string): boolean => isWildcard(parseMultiaddr(address)?.address ?? '')

const isSame = (one: Endpoint | null, other: Endpoint | null): boolean =>
  one === other ||
  (one !== null &&
    other !== null &&
    one.protocol === other.protocol &&
    one.address === other.address &&
    one.port === other.port)

export interface Candidates {
  readonly all: () => readonly Candidate[]
  get(address: string): Candidate | undefined
  /** Adds a candidate, or replaces the one of the same address and keeps what witnesses said of it. */
  put(candidate: Pick<Candidate, 'address' | 'type' | 'strategy' | 'endpoint' | 'mapper' | 'expiresAt'>): void
  /** The lease behind it lives on for longer. */
  extend(address: string, expiresAt: number | null): void
  withdraw(address: string): void
  /** Notes what witnesses said, if it is still the candidate that they were asked about. */
  rule(address: string, since: number, changes: Partial<Pick<Candidate, 'evidence' | 'ruling'>>): void
  state(candidate: Candidate): CandidateState
  /** Whether only the user says that an address leads here: the port is forwarded by hand, or the gateway that maps it is not on
   * the default route. */
  isClaim(candidate: Candidate): boolean
  readonly size: () => number
}

/** The isOffRoute of a gateway: whether our replies do not leave through it. */
export function createCandidates(
  doubts: Doubts,
  isOffRoute: (gateway: Gateway) => boolean,
  changed: () => void
): Candidates {
  const table = new Map<string, Candidate>()
  let count = 0

  function set(candidate: Candidate): void {
    table.set(candidate.address, candidate)
    changed()
  }

  const isClaim = ({ isGlobal: global, mapper }: Candidate): boolean => {
    if (!global || mapper === null) return false
    return mapper.isClaim === true || (mapper.gateway !== null && isOffRoute(mapper.gateway))
  }

  /** Globally routable, and contradicted by nothing known. */
  function isConsistent(candidate: Candidate): boolean {
    const { host, isGlobal: global, type } = candidate
    if (!global || host === undefined || isClaim(candidate)) return false
    // A global IPv6 address says nothing of the firewall before it: without a pinhole it is only a claim.
    if (type === 'local') return familyOf(host) === 4
    return doubts.clears(host)
  }

  return {
    all: () => [...table.values()],
    get: (address) => table.get(address),
    put(candidate) {
      const before = table.get(candidate.address)
      // What witnesses said of an address they said of the endpoint that it led to.
      if (before !== undefined && isSame(before.endpoint, candidate.endpoint)) return set({ ...before, ...candidate })
      const host = parseMultiaddr(candidate.address)?.address
      set({
        ...candidate,
        since: ++count,
        evidence: [],
        ruling: undefined,
        host: canonicalAddress(host ?? ''),
        isGlobal: isGlobal(host ?? '')
      })
    },
    extend(address, expiresAt) {
      const before = table.get(address)
      // Nothing that anybody has to be told of, and with thousands of leases it happens all the time.
      if (before !== undefined) table.set(address, { ...before, expiresAt })
    },
    withdraw(address) {
      if (table.delete(address)) changed()
    },
    rule(address, since, changes) {
      const before = table.get(address)
      if (before?.since === since) set({ ...before, ...changes })
    },
    isClaim,
    state: (candidate) => candidate.ruling ?? (isConsistent(candidate) ? 'consistent' : 'claimed'),
    size: () => table.size
  }
}
