/** How many tunnels there may be: in all, and of one peer. */
export interface Places {
  /** Undefined: there is none. Otherwise gives it back; twice is once. */
  take(peer: string): (() => void) | undefined
  readonly taken: number
}

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
