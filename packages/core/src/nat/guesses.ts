import type { MultiaddrText } from '@postern/interface'

/** How good the reason for a guess is. */
export interface Ground {
  /** Whether witnesses have reached it. */
  readonly isVerified: boolean
  /** The network of the party that named the port, and the endpoint; undefined for a port that this host knows itself. */
  readonly toldBy: string | undefined
}

/** Addresses that may lead to this host, of which a limited number is tried. */
export interface Guesses<T> {
  /** Adds a guess about an IP address. Ignored if the address is known, or if its network named another port before and
   * it is not verified. */
  add(ip: string, ground: Ground, address: MultiaddrText, guess: T): void
  /** Whether more guesses about this IP address could change nothing. */
  isFull(ip: string): boolean
  /** Returns the guesses to try, in the order in which they were added. */
  chosen(): ReadonlyMap<MultiaddrText, T>
}

const ranks = { verified: 0, own: 1, told: 2 } as const

/**
 * Creates an empty list. Verified guesses go before those with a port of this host, and these before ports that parties
 * named. Within each of the three, every IP address has its first guess before any has its second.
 */
export function createGuesses<T>(max: number): Guesses<T> {
  const all = new Map<MultiaddrText, { readonly guess: T; readonly rank: number; readonly turn: number }>()
  const counts = new Map<string, number>()
  const networks = new Set<string>()
  return {
    add(ip, { isVerified, toldBy }, address, guess) {
      if (all.has(address)) return
      const told = toldBy === undefined ? undefined : `${ip} ${toldBy}`
      if (told !== undefined && networks.has(told) && !isVerified) return
      if (told !== undefined) networks.add(told)
      const rank = ranks[isVerified ? 'verified' : told === undefined ? 'own' : 'told']
      const key = `${ip} ${rank}`
      const turn = counts.get(key) ?? 0
      counts.set(key, turn + 1)
      all.set(address, { guess, rank, turn })
    },
    isFull: (ip) => (counts.get(`${ip} ${ranks.own}`) ?? 0) >= max,
    chosen() {
      const best = [...all].sort(([, a], [, b]) => a.rank - b.rank || a.turn - b.turn).slice(0, max)
      const chosen = new Set(best.map(([address]) => address))
      return new Map([...all].flatMap(([address, { guess }]) => (chosen.has(address) ? [[address, guess]] : [])))
    }
  }
}
