import { type Clock, type NatError, natError } from '@postern/interface'

/** What may be sent to witnesses that ask for data before they dial. */
export interface DialDataBudget {
  /** Takes the bytes from what the witness may still have. Throws a NatError, WITNESS_REFUSED, if that is too little. */
  spend(peerId: string, bytes: bigint): number
}

/** The most that a server asks for by the spec ("30k to 100k bytes"). */
const mostPerRequest = 100_000
const mostPerHour = 300_000
const hourMs = 3_600_000
/** More witnesses than there are at a time: a witness that comes back finds its account again. */
const mostWitnesses = 256

export function createDialDataBudget(clock: Clock): DialDataBudget {
  const spent = new Map<string, readonly { readonly atMs: number; readonly bytes: number }[]>()

  return {
    spend(peerId, asked) {
      if (asked > mostPerRequest) throw tooMuch(`${asked} bytes, and ${mostPerRequest} is the most`)
      const bytes = Number(asked)
      const since = clock.monotonicMs() - hourMs
      for (const [id, entries] of spent) {
        const recent = entries.filter(({ atMs }) => atMs > since)
        if (recent.length > 0) spent.set(id, recent)
        else spent.delete(id)
      }
      const before = spent.get(peerId) ?? []
      const total = before.reduce((sum, each) => sum + each.bytes, bytes)
      if (total > mostPerHour) throw tooMuch(`${total} bytes within an hour, and ${mostPerHour} is the most`)
      if (before.length === 0 && spent.size >= mostWitnesses) throw tooMuch('data, as too many others did')
      spent.set(peerId, [...before, { atMs: clock.monotonicMs(), bytes }])
      return bytes
    }
  }
}

const tooMuch = (what: string): NatError => natError('WITNESS_REFUSED', `the witness asks for ${what}`)
