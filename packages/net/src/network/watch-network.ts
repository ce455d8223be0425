import { type CallOptions, type Clock, type Network, orAborted } from '@postern/interface'
import { findNetwork } from './find-network.js'

/** The options of {@link watchNetwork}. */
export interface WatchNetworkOptions {
  /** The clock for the interval, and to detect sleep. */
  readonly clock: Clock
  /** Called with the network at the start, whenever it has changed, and when the machine has woken from sleep. */
  readonly changed: (network: Network) => void
  /** Called with the error each time that the network could not be read.
   * @default none */
  readonly failed?: (error: unknown) => void
  /** How often to read the state of the network, in ms. On Linux this reads four small files.
   * @default 2000 */
  readonly intervalMs?: number
  /** Resolves to the network.
   * @default the real {@link findNetwork} */
  readonly find?: (call: CallOptions) => Promise<Network>
}

/** If the wall clock gains this much on the monotonic clock, in ms, the machine slept: corrections of the clock are
 * smaller. */
const sleptMs = 5000

/**
 * Watches the network until the signal aborts. Node.js does not report changes of the network, so this polls.
 *
 * Resolves when the signal aborts, even if a poll hangs. A failed poll is repeated at the next interval. An error that
 * `changed` throws counts as a failed poll.
 */
export async function watchNetwork(options: WatchNetworkOptions, { signal }: CallOptions): Promise<void> {
  const { clock, changed, failed, intervalMs = 2000, find = findNetwork } = options
  let last = ''
  let aheadMs = clock.wallMs() - clock.monotonicMs()
  while (!signal.aborted) {
    const network = await orAborted(look(find, signal), { signal }).catch((error: unknown) => {
      if (!signal.aborted) failed?.(error)
      return undefined
    })
    if (signal.aborted) return
    const nowAheadMs = clock.wallMs() - clock.monotonicMs()
    const slept = nowAheadMs - aheadMs > sleptMs
    aheadMs = nowAheadMs
    try {
      const text = JSON.stringify(withoutMacs(network))
      if (network !== undefined && (slept || text !== last)) {
        last = text
        changed(network)
      }
    } catch (error) {
      failed?.(error)
    }
    await clock.sleep(intervalMs, { signal }).catch(() => undefined)
  }
}

/** Turns an exception of a caller's `find` into a rejection. */
async function look(find: NonNullable<WatchNetworkOptions['find']>, signal: AbortSignal): Promise<Network> {
  return find({ signal })
}

/** Removes hardware addresses: they come and go with the neighbour table, which is not a change of the network. */
const withoutMacs = (network: Network | undefined): unknown => ({
  ...network,
  gateways: network?.gateways.map(({ mac: _, ...gateway }) => gateway)
})
