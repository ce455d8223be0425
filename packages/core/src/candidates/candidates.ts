import {
  canonicalAddress,
  type Endpoint,
  familyOf,
  type Gateway,
  isGlobal,
  isWildcard,
  type Mapper,
  type MultiaddrText,
  parseMultiaddr
} from '@postern/interface'
import type { CandidateReport, CandidateState, EvidenceReport } from '../model/report.js'
import type { ClaimChecks } from './claim-checks.js'

/** An external address that might reach an endpoint. */
export interface Candidate {
  readonly address: MultiaddrText
  readonly type: CandidateReport['type']
  readonly strategy: string | null
  readonly endpoint: Endpoint | null
  /** The mapper that granted it, if any. */
  readonly mapper: Mapper | null
  /** Unix ms; null for a candidate that never expires. */
  readonly expiresAt: number | null
  /** Distinguishes it from an earlier candidate with the same address. */
  readonly since: number
  readonly evidence: readonly EvidenceReport[]
  /** The outcome of the last round of witnesses that reached a decision. */
  readonly ruling: 'verified' | 'refuted' | undefined
  /** Whether a round of witnesses has ended, with or without a decision. */
  readonly isTried: boolean
  /** The only networks of witnesses that may be asked: those that see this host at the address themselves. Undefined for
   * an address that any witness may be asked about. */
  readonly onlyNetworks: ReadonlySet<string> | undefined
  /** The networks of servers that were sent something from the socket of this address: a NAT may let in what comes from
   * there, and nothing else. Witnesses in them are not asked. */
  readonly exceptNetworks: ReadonlySet<string> | undefined
  /** Only for a mapping on a mapping: the external address of the next hop that it leads to. */
  readonly through: MultiaddrText | null
  /** The relay or forwarder that a relayed address leads through. */
  readonly relay?: CandidateReport['relay']
  /** The IP address in it. */
  readonly host: string | undefined
  /** Whether hosts on the internet could send to that address. */
  readonly isGlobal: boolean
}

/** Whether a router has granted a port without telling its external address. */
export const isAddressUnknown = (address: string): boolean => isWildcard(parseMultiaddr(address)?.address ?? '')

/** Whether witnesses have tried a guess in vain before a router or the user opened its port. That shows nothing about the
 * open port. */
const isOpenedGuess = (before: Candidate, { type }: Pick<Candidate, 'type'>): boolean =>
  before.type === 'observed' && type !== 'observed' && before.isTried && before.ruling !== 'verified'

/** Whether two endpoints are the same socket, or both are missing. */
export const isSameEndpoint = (one: Endpoint | null, other: Endpoint | null): boolean =>
  one === other ||
  (one !== null &&
    other !== null &&
    one.protocol === other.protocol &&
    one.address === other.address &&
    one.port === other.port)

export interface Candidates {
  readonly all: () => readonly Candidate[]
  get(address: string): Candidate | undefined
  /** Adds a candidate, or replaces the one with the same address. Its evidence is kept if it leads to the same
   * endpoint. */
  put(
    candidate: Pick<Candidate, 'address' | 'type' | 'strategy' | 'endpoint' | 'mapper' | 'expiresAt'> &
      Partial<Pick<Candidate, 'onlyNetworks' | 'exceptNetworks' | 'relay' | 'through'>>
  ): void
  /** Records that the lease behind a candidate was renewed. */
  extend(address: string, expiresAt: number | null): void
  withdraw(address: string): void
  /** Records what witnesses found, if the candidate is still the one that they were asked about. */
  rule(address: string, since: number, changes: Partial<Pick<Candidate, 'evidence' | 'ruling' | 'isTried'>>): void
  state(candidate: Candidate): CandidateState
  /** Whether only the user claims that an address leads here: the port is forwarded by hand, or the gateway that maps
   * it is not on the default route. */
  isClaim(candidate: Candidate): boolean
  readonly size: () => number
}

/** @param isOffRoute - whether a gateway is known not to forward our replies */
export function createCandidates(
  claimChecks: ClaimChecks,
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

  /** Whether a candidate is globally routable and nothing known contradicts it. */
  function isConsistent(candidate: Candidate): boolean {
    const { host, isGlobal: global, type } = candidate
    if (!global || host === undefined || type === 'observed' || isClaim(candidate)) return false
    // A global IPv6 address may be behind a firewall: without a pinhole it is only a claim.
    if (type === 'local') return familyOf(host) === 4
    // A router behind the next hop told it, so it lies beyond the next hop in any case.
    return candidate.through !== null || claimChecks.clears(host)
  }

  return {
    all: () => [...table.values()],
    get: (address) => table.get(address),
    put(candidate) {
      const before = table.get(candidate.address)
      // Evidence is valid only while the address leads to the same endpoint.
      const { onlyNetworks, exceptNetworks, through = null } = candidate
      if (
        before !== undefined &&
        isSameEndpoint(before.endpoint, candidate.endpoint) &&
        !isOpenedGuess(before, candidate)
      )
        return set({ ...before, ...candidate, onlyNetworks, exceptNetworks, through })
      const host = parseMultiaddr(candidate.address)?.address
      set({
        ...candidate,
        since: ++count,
        evidence: [],
        ruling: undefined,
        isTried: false,
        onlyNetworks,
        exceptNetworks,
        through,
        host: canonicalAddress(host ?? ''),
        isGlobal: isGlobal(host ?? '')
      })
    },
    extend(address, expiresAt) {
      const before = table.get(address)
      // Do not notify: the expiry is part of no event, and with thousands of leases there are always renewals.
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
