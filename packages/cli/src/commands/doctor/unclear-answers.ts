import type { Witness } from '@postern/interface'

/** Returns the witness. The reason of its last answer, if that was inconclusive, is written under its id. */
export const notingReasons = (witness: Witness, reasons: Map<string, string>): Witness => ({
  ...witness,
  async verify(address, call) {
    const evidence = await witness.verify(address, call)
    if (evidence.outcome === 'inconclusive' && evidence.reason !== undefined)
      reasons.set(witness.party.id, evidence.reason.message)
    else reasons.delete(witness.party.id)
    return evidence
  }
})
