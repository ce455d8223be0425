import { type ErrorCode, type NatError, natError } from '@postern/interface'
import type { Mapping } from '../nat/mapping.js'

/** The reason why there is no direct connection to a peer. */
export type UpgradeCause =
  | 'symmetric-both'
  | 'symmetric-one'
  | 'refused'
  | 'timeout'
  | 'no-observer'
  | 'unsupported'
  | 'no-targets'
  | 'too-many'
  | 'disconnected'

const meanings: Readonly<Record<UpgradeCause, readonly [code: ErrorCode, text: string]>> = {
  'symmetric-both': [
    'SYMMETRIC_NAT',
    'both NATs use a different port for each destination, so neither peer can know the port of the other'
  ],
  'symmetric-one': [
    'SYMMETRIC_NAT',
    'one of the NATs uses a different port for each destination, which the other peer cannot know'
  ],
  refused: ['REFUSED', 'the routers refused the unexpected packets, and the simultaneous open did not succeed'],
  timeout: ['NO_REPLY', 'the two sides dialled each other without success'],
  'no-observer': [
    'EXTERNAL_ADDRESS_UNKNOWN',
    'no connected peer accepts plain TCP and reports the external address of a port'
  ],
  unsupported: ['UNSUPPORTED', 'the peer does not speak DCUtR'],
  'no-targets': ['GRANT_INVALID', 'the peer sent no public address to dial'],
  'too-many': ['QUOTA_EXCEEDED', 'the limit of concurrent hole punches, or of SYNs per minute, is reached'],
  disconnected: ['UNREACHABLE', 'the relayed connection ended first']
}

/** Returns the error that `upgrade` rejects with for a cause. */
export function errorOf(upgradeCause: UpgradeCause, cause?: unknown): NatError {
  const [code, text] = meanings[upgradeCause]
  return natError(code, text, cause === undefined ? {} : { cause })
}

/** Returns the cause that follows from the errors of the rounds and the mapping behaviour of both NATs. */
export function causeOf(
  errors: readonly NatError[],
  mappings: readonly [own: Mapping | undefined, theirs: Mapping | undefined]
): UpgradeCause {
  const symmetric = mappings.filter((mapping) => mapping === 'address-and-port-dependent').length
  const last = errors.at(-1)?.code
  if (last === 'UNSUPPORTED') return 'unsupported'
  if (last === 'EXTERNAL_ADDRESS_UNKNOWN' || last === 'NO_SERVICE') return 'no-observer'
  if (last === 'QUOTA_EXCEEDED') return 'too-many'
  if (last === 'GRANT_INVALID') return 'no-targets'
  if (symmetric === 2) return 'symmetric-both'
  if (symmetric === 1) return 'symmetric-one'
  return errors.length > 0 && errors.every(({ code }) => code === 'REFUSED') ? 'refused' : 'timeout'
}
