import type { NatReport } from '@postern/core'

/** The results of a trial mapping beyond the report. */
export interface Shown {
  /** How the mapping was when it was requested again. */
  readonly readBack: 'same' | 'other' | 'lost' | undefined
  readonly hairpin: NatReport['hairpin']
}
