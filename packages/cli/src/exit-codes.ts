import type { Verdict } from '@postern/core'

/** What the process ends with. */
export const exitCodes = {
  success: 0,
  failed: 1,
  usage: 2,
  relayed: 10,
  private: 11,
  unknown: 12,
  refused: 13
} as const

export const codeOf = (verdict: Verdict): number => (verdict === 'public' ? exitCodes.success : exitCodes[verdict])
