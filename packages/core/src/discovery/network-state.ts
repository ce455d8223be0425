import { boundGateways, type Clock, type Family, type Network } from '@postern/interface'
import { checkNetwork } from '../check-options.js'
import { elapsedMs, stamp } from '../lease/stamp.js'
import { changedFamilies } from './endpoints.js'

/** The network that this host is in, as it was told last. */
export interface NetworkState {
  readonly current: () => Network
  /** Replaces the network. Returns what it was before, and what has changed; undefined if nothing has, and the machine
   * was not suspended. Throws a TypeError for what is no network. */
  set(next: Network): NetworkChange | undefined
  /** From now on a suspended machine counts. */
  started(): void
}

export interface NetworkChange {
  readonly before: Network
  /** The families in which it has changed; none if only the machine was suspended. */
  readonly families: readonly Family[]
}

/** If the wall clock gains this much on the monotonic clock, the machine was suspended (ms). */
const sleptMs = 5000

export function createNetworkState(clock: Clock): NetworkState {
  let network: Network = { gateways: [], addresses: [] }
  let seen = stamp(clock)
  return {
    current: () => network,
    set(next) {
      checkNetwork(next)
      const before = network
      network = { ...next, gateways: boundGateways(next.gateways) }
      const families = changedFamilies(network, before)
      const slept = elapsedMs(clock, seen) - (clock.monotonicMs() - seen.monotonicMs) > sleptMs
      seen = stamp(clock)
      return slept || families.length > 0 ? { before, families } : undefined
    },
    started() {
      seen = stamp(clock)
    }
  }
}
