import type { Verdict } from '@postern/core'

/** The exit codes of the process. */
export const exitCodes = {
  success: 0,
  failed: 1,
  usage: 2,
  relayed: 10,
  private: 11,
  unknown: 12,
  refused: 13
} as const

/** Returns the exit code of a verdict. */
export const codeOf = (verdict: Verdict): number => (verdict === 'public' ? exitCodes.success : exitCodes[verdict])
