import { type CallOptions, type Clock, type Network, orAborted } from '@postern/interface'
import { findNetwork } from './find-network.js'
import { type NetworkSnapshot, openNetworkSnapshot } from './network-snapshot.js'

/** The options of {@link watchNetwork}. */
export interface WatchNetworkOptions {
  /** The clock for the interval, and to detect sleep. */
  readonly clock: Clock
  /** Called with the network at the start, whenever it has changed, and when the machine has woken from sleep. */
  readonly changed: (network: Network) => void
  /** Called with the error each time that the network could not be read.
   * @default none */
  readonly failed?: (error: unknown) => void
  /** How often to look for changes of the network, in ms.
   * @default 2000 */
  readonly intervalMs?: number
  /** Resolves to the network.
   * @default the real {@link findNetwork} */
  readonly find?: (call: CallOptions) => Promise<Network>
  /** Tells whether the network may have changed since the previous poll. `find` is called then, in the five polls after
   * a change or a failure, after a sleep, and in every 15th poll. Closed at the end.
   * @default {@link openNetworkSnapshot} for the real {@link findNetwork}, none for another `find` */
  readonly snapshot?: NetworkSnapshot
}

/** If the wall clock gains this much on the monotonic clock, in ms, the machine slept: corrections of the clock are
 * smaller. */
const sleptMs = 5000

/** The network is read in every n-th poll, whatever the snapshot tells: no file shows the rules of policy routing. */
const readEvery = 15
/** The number of polls after a change that read the network, too: programs for a VPN add their rules last. */
const readAfterChange = 5

/**
 * Watches the network until the signal aborts. Node.js does not report changes of the network, so this polls. On Linux
 * a poll compares the texts of a few files in /proc, and reads the network only if one differs.
 *
 * Resolves when the signal aborts, even if a poll hangs. A failed poll is repeated at the next interval. An error that
 * `changed` throws counts as a failed poll.
 */
export async function watchNetwork(options: WatchNetworkOptions, { signal }: CallOptions): Promise<void> {
  const { clock, changed, failed, intervalMs = 2000, find = findNetwork } = options
  const { snapshot = find === findNetwork ? openNetworkSnapshot() : undefined } = options
  const polls = createPolls(snapshot)
  let last = ''
  let slept = false
  let aheadMs = clock.wallMs() - clock.monotonicMs()

  async function poll(): Promise<void> {
    const nowAheadMs = clock.wallMs() - clock.monotonicMs()
    slept ||= nowAheadMs - aheadMs > sleptMs
    aheadMs = nowAheadMs
    if (!polls.mustRead(slept)) return
    try {
      const network = await orAborted(look(find, signal), { signal })
      if (signal.aborted) return
      const text = JSON.stringify(withoutMacs(network))
      if (!slept && text === last) return
      slept = false
      last = text
      polls.changed()
      changed(network)
    } catch (error) {
      if (signal.aborted) return
      polls.changed()
      failed?.(error)
    }
  }

  try {
    while (!signal.aborted) {
      await poll()
      if (!signal.aborted) await clock.sleep(intervalMs, { signal }).catch(() => undefined)
    }
  } finally {
    snapshot?.close()
  }
}

interface Polls {
  /** Returns whether to read the network in this poll. */
  mustRead(slept: boolean): boolean
  /** Has the next polls read the network, after a change or a failure. */
  changed(): void
}

function createPolls(snapshot: NetworkSnapshot | undefined): Polls {
  let sinceRead = 0
  let following = 0
  return {
    mustRead(slept) {
      sinceRead++
      const differs = snapshot?.hasChanged() ?? true
      const isFollowing = following > 0
      following = differs || slept ? readAfterChange : Math.max(0, following - 1)
      if (!differs && !slept && !isFollowing && sinceRead < readEvery) return false
      sinceRead = 0
      return true
    },
    changed() {
      following = readAfterChange
    }
  }
}

/** Turns an exception of a caller's `find` into a rejection. */
async function look(find: NonNullable<WatchNetworkOptions['find']>, signal: AbortSignal): Promise<Network> {
  return find({ signal })
}

/** Removes hardware addresses: they come and go with the neighbour table, which is not a change of the network. */
const withoutMacs = (network: Network): unknown => ({
  ...network,
  gateways: network.gateways.map(({ mac: _, ...gateway }) => gateway)
})
