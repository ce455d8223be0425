import type { CallOptions, Clock, Network } from '@postern/interface'
import { findNetwork } from './network.js'
import { orAborted } from './within.js'

export interface WatchNetworkOptions {
  readonly clock: Clock
  /** Called at once with the network as it is, then whenever it changed, and when the machine woke from sleep. */
  readonly changed: (network: Network) => void
  /** Called with the error of a look that failed, each time.
   * @default none */
  readonly failed?: (error: unknown) => void
  /** How often to look, in ms. A look reads four small files.
   * @default 2000 */
  readonly intervalMs?: number
  /** @default the real {@link findNetwork} */
  readonly find?: (call: CallOptions) => Promise<Network>
}

/** A difference between the two clocks that no correction makes: the machine slept. */
const sleptMs = 5000

/**
 * Watches the network until the signal aborts. Node has no way to be told of changes, so it looks.
 *
 * Resolves when the signal aborts, also while a look does not end. A look that fails is tried again at the next interval;
 * where `changed` throws, it is a look that failed.
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

/** A caller's own function may throw in the place of rejecting. */
async function look(find: NonNullable<WatchNetworkOptions['find']>, signal: AbortSignal): Promise<Network> {
  return find({ signal })
}

/** Hardware addresses come and go with the neighbour table, which is no change of the network. */
const withoutMacs = (network: Network | undefined): unknown => ({
  ...network,
  gateways: network?.gateways.map(({ mac: _, ...gateway }) => gateway)
})
