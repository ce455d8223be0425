import { type ErrorCode, type NatError, natError } from '@postern/interface'
import type { Mapping } from './mapping.js'

/** Why a peer is not connected directly. */
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
  'symmetric-both': ['SYMMETRIC_NAT', 'both NATs take another port for each destination: the peers cannot meet'],
  'symmetric-one': [
    'SYMMETRIC_NAT',
    'one of the NATs takes another port for each destination: the other side cannot know it'
  ],
  refused: ['REFUSED', 'the routers refuse what they did not expect, and the two sides did not meet'],
  timeout: ['NO_REPLY', 'the two sides dialled each other and did not meet'],
  'no-observer': ['EXTERNAL_ADDRESS_UNKNOWN', 'no connected peer takes plain TCP and tells where a port comes from'],
  unsupported: ['UNSUPPORTED', 'the peer does not speak DCUtR'],
  'no-targets': ['GRANT_INVALID', 'the peer named no public address to meet at'],
  'too-many': ['QUOTA_EXCEEDED', 'as many are punched for, or were of late, as may be'],
  disconnected: ['UNREACHABLE', 'the relayed connection ended first']
}

/** What `upgrade` rejects with. */
export function errorOf(upgradeCause: UpgradeCause, cause?: unknown): NatError {
  const [code, text] = meanings[upgradeCause]
  return natError(code, text, cause === undefined ? {} : { cause })
}

/** What the errors of the rounds, and what both NATs are, say together. */
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
