import {
  type Ability,
  type CallOptions,
  type Clock,
  type MultiaddrText,
  type NatError,
  natError,
  type Puncher,
  type UpgradeNotice,
  printable
} from '@postern/interface'
import { asNatError } from './attempt.js'
import type { PeerReport } from './report.js'
import type { Entry, Roster } from './roster.js'

/** Peers on their way from a relayed connection to a direct one. */
export interface Upgrades {
  /** A strategy tells how far a peer is. */
  heard(entry: Entry, notice: UpgradeNotice): void
  /** Asks the strategies in rank order. Rejects with the last one's NatError, or with the signal's reason. */
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
  /** What is known, the latest news last; undefined where no strategy upgrades connections. */
  report(): readonly PeerReport[] | undefined
  clear(): void
}

/** The report lists no more peers than this. */
const mostPeers = 256

export function createUpgrades(roster: () => Roster, clock: Clock, fire: (report: PeerReport) => void): Upgrades {
  const peers = new Map<string, PeerReport>()

  return {
    heard(entry, { peer, state, address = null, cause = null }) {
      const at = new Date(clock.wallMs()).toISOString()
      const report: PeerReport = {
        peer: printable(peer),
        state,
        strategy: entry.name,
        address: address === null ? null : printable(address),
        cause: cause === null ? null : printable(cause),
        at
      }
      peers.delete(peer)
      peers.set(peer, report)
      for (const oldest of peers.keys()) {
        if (peers.size <= mostPeers) break
        peers.delete(oldest)
      }
      fire(report)
    },
    async upgrade(peerId, call) {
      let last: NatError | undefined
      for (const { abilities } of roster().entries) {
        const puncher = [...abilities.values()].find(isPuncher)
        if (puncher === undefined) continue
        call.signal.throwIfAborted()
        try {
          return await puncher.upgrade(peerId, call)
        } catch (error) {
          call.signal.throwIfAborted()
          last = asNatError(error)
        }
      }
      throw last ?? natError('NO_SERVICE', 'no strategy here makes direct connections, or the ladder does not run')
    },
    report: () => (roster().entries.some(({ kind }) => kind === 'puncher') ? [...peers.values()] : undefined),
    clear: () => peers.clear()
  }
}

const isPuncher = (ability: Ability): ability is Puncher => ability.kind === 'puncher'
