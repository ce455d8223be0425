import { type Clock, type NatError, natError } from '@postern/interface'

/** Limits the data that is sent to witnesses that ask for dial data. */
export interface DialDataBudget {
  /**
   * Takes bytes from the budget of the witness and returns them as a number. Throws WITNESS_REFUSED if too few are
   * left.
   */
  spend(peerId: string, bytes: bigint): number
}

/** Upper end of the range in the spec ("30k to 100k bytes"). */
const maxPerRequest = 100_000
const maxPerHour = 300_000
const hourMs = 3_600_000
/** More than the witnesses at a time, so that a witness keeps its account when it reconnects. */
const maxWitnesses = 256

export function createDialDataBudget(clock: Clock): DialDataBudget {
  const spent = new Map<string, readonly { readonly atMs: number; readonly bytes: number }[]>()

  return {
    spend(peerId, asked) {
      if (asked > maxPerRequest) throw tooMuch(`${asked} bytes, more than the limit of ${maxPerRequest}`)
      const bytes = Number(asked)
      const since = clock.monotonicMs() - hourMs
      for (const [id, entries] of spent) {
        const recent = entries.filter(({ atMs }) => atMs > since)
        if (recent.length > 0) spent.set(id, recent)
        else spent.delete(id)
      }
      const before = spent.get(peerId) ?? []
      const total = before.reduce((sum, each) => sum + each.bytes, bytes)
      if (total > maxPerHour) throw tooMuch(`${total} bytes within an hour, more than the limit of ${maxPerHour}`)
      if (before.length === 0 && spent.size >= maxWitnesses)
        throw tooMuch('data, and too many other witnesses did within the hour')
      spent.set(peerId, [...before, { atMs: clock.monotonicMs(), bytes }])
      return bytes
    }
  }
}

const tooMuch = (what: string): NatError => natError('WITNESS_REFUSED', `the witness asks for ${what}`)
