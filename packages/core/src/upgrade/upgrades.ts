import {
  type Ability,
  type CallOptions,
  type MultiaddrText,
  type NatError,
  natError,
  type Puncher,
  printable,
  type UpgradeNotice
} from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Context } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import type { PeerReport } from '../model/report.js'

/** The peers with relayed connections, and how far each is on the way to a direct one. */
export interface Upgrades {
  /** Asks the strategies in rank order. Rejects with the NatError of the last one, with `NO_SERVICE` if none upgrades
   * connections, or with the signal's reason. */
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
  /** Returns the known peers, the latest change last; undefined if no strategy upgrades connections. */
  report(): readonly PeerReport[] | undefined
  clear(): void
}

/** How many peers the report lists with their last upgrade. Those without news for the longest time are dropped. */
const maxPeers = 256

export function createUpgrades({ host, bus, requests, discoveries }: Context): Upgrades {
  const { clock } = host
  const peers = new Map<string, PeerReport>()

  /** Records how far a peer is, as a strategy reports it. */
  function heard(entry: StrategyEntry, notice: UpgradeNotice): void {
    const { peer, state, address = null, cause = null } = notice
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
      if (peers.size <= maxPeers) break
      peers.delete(oldest)
    }
    bus.emit('upgrade', report)
  }
  bus.on('noticed', ({ entry, notice }) => {
    if (notice.what === 'upgrade') heard(entry, notice)
  })

  return {
    async upgrade(peerId, call) {
      let last: NatError | undefined
      for (const { name, abilities } of discoveries.entries) {
        const puncher = [...abilities.values()].find(isPuncher)
        if (puncher === undefined) continue
        call.signal.throwIfAborted()
        try {
          return await requests.measure({ strategy: name, verb: 'upgrade' }, () => puncher.upgrade(peerId, call), call)
        } catch (error) {
          call.signal.throwIfAborted()
          last = asNatError(error)
        }
      }
      throw last ?? natError('NO_SERVICE', 'no strategy makes direct connections, or the traversal is not running')
    },
    report: () => (discoveries.entries.some(({ kind }) => kind === 'puncher') ? [...peers.values()] : undefined),
    clear: () => peers.clear()
  }
}

const isPuncher = (ability: Ability): ability is Puncher => ability.kind === 'puncher'
