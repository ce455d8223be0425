import {
  type CallOptions,
  type Discovery,
  type Host,
  isNotice,
  type Lease,
  type Mapper,
  type MapRequest,
  type Strategy
} from '@postern/interface'
import { referenceMapper } from './reference-mapper.js'
import type { ReferenceTable } from './reference-table.js'

/** A strategy that breaks one rule of the contract. */
export interface BrokenStrategy {
  /** The fault of the strategy, in a few words. */
  readonly name: string
  /** The rule that it breaks: the id of the conformance test that it must fail. */
  readonly breaks: string
  /** Creates the strategy on a table, as `pcp(options)` creates the PCP strategy. */
  readonly strategy: (table: ReferenceTable) => Strategy
}

/** Returns the honest strategy with a changed discovery. */
export const withDiscovery =
  (change: (honest: Discovery, table: ReferenceTable, host: Host) => Discovery) =>
  (table: ReferenceTable): Strategy =>
  (host) =>
    change(referenceMapper(table)(host), table, host)

/** Returns the honest strategy with a changed mapper. */
export const withMapper = (
  change: (honest: Mapper, table: ReferenceTable, host: Host) => Mapper
): ((table: ReferenceTable) => Strategy) =>
  withDiscovery((honest, table, host) => ({
    ...honest,
    discover: (network, found, call) =>
      honest.discover(
        network,
        (finding) => found(!isNotice(finding) && finding.kind === 'mapper' ? change(finding, table, host) : finding),
        call
      )
  }))

/** Returns the honest strategy with a changed `map`. */
export const withMap = (
  map: (
    honest: Mapper['map'],
    context: { readonly table: ReferenceTable; readonly host: Host },
    request: MapRequest,
    call: CallOptions
  ) => Promise<Lease>
): ((table: ReferenceTable) => Strategy) =>
  withMapper((honest, table, host) => ({
    ...honest,
    map: (request, call) => map(honest.map, { table, host }, request, call)
  }))

export interface LeaseContext {
  readonly table: ReferenceTable
  readonly host: Host
  readonly request: MapRequest
}

/** Returns the honest strategy with a changed lease. Renewed leases are changed in the same way. */
export function withLease(
  change: (honest: Lease, context: LeaseContext) => Lease
): (table: ReferenceTable) => Strategy {
  const changeAll = (honest: Lease, context: LeaseContext): Lease =>
    change({ ...honest, renew: async (call) => changeAll(await honest.renew(call), context) }, context)
  return withMap(async (map, context, request, call) => changeAll(await map(request, call), { ...context, request }))
}
