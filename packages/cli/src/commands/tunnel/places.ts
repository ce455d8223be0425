/** The places of tunnels, limited in total and for each peer. */
export interface Places {
  /** Takes a place. Returns an idempotent function that gives it back, or undefined if there is none. */
  take(peer: string): (() => void) | undefined
  /** The number of places that are taken. */
  readonly taken: number
}

/** Creates the places. */
export function createPlaces(inAll: number, perPeer: number): Places {
  const byPeer = new Map<string, number>()
  let taken = 0
  return {
    get taken() {
      return taken
    },
    take(peer) {
      const own = byPeer.get(peer) ?? 0
      if (taken >= inAll || own >= perPeer) return undefined
      taken++
      byPeer.set(peer, own + 1)
      let held = true
      return () => {
        if (!held) return
        held = false
        taken--
        const left = (byPeer.get(peer) ?? 1) - 1
        if (left === 0) byPeer.delete(peer)
        else byPeer.set(peer, left)
      }
    }
  }
}
