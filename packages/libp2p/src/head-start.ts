import type { Listener } from '@libp2p/interface'
import { abortReason, type CallOptions, type Clock, orAborted, type Strategy, untilAborted } from '@postern/interface'
import { withOverrides } from '@postern/libp2p-utils'
import type { Libp2pComponents, Libp2pHost } from './host.js'

/** How long other work may wait for the first address at a configured relay, from the start of the node (ms). A node
 * has one thread, and the questions to routers and witnesses would delay that address by a quarter. A distant relay needs
 * longer than this; its round trips leave the thread free, so there is nothing to gain by waiting longer. */
const headStartMs = 100

/** Lets a node that has configured relays get its first address there before it asks routers and witnesses. */
export interface HeadStart {
  /** Adds what a strategy does as soon as the node can dial. It resolves when a relay is connected, or is not reached. */
  add(started: (call: CallOptions) => Promise<void>): void
  /** Returns the strategy. Its search waits while the head start lasts, unless it looks for relays. */
  holdBack(strategy: Strategy<Libp2pHost>): Strategy<Libp2pHost>
  /** Begins a head start, at each start of the node. Resolves when the traversal should start: when a relay is connected
   * or is not reached, after 100 ms, or with the abort. Resolves immediately if nothing was added. */
  begin(call: CallOptions): Promise<void>
}

const over = abortReason('the head start is over')

/** Creates a head start. Without configured relays, nothing waits. */
export function createHeadStart({ events }: Pick<Libp2pComponents, 'events'>, clock: Clock): HeadStart {
  const work: ((call: CallOptions) => Promise<void>)[] = []
  let last: AbortSignal = AbortSignal.abort(over)

  /** Returns a signal that aborts with the first relayed address, after 100 ms, or with the node. */
  function startNow({ signal }: CallOptions): AbortSignal {
    const controller = new AbortController()
    const end = (): void => controller.abort(over)
    const look = ({ detail }: CustomEvent<Listener>): void => {
      if (detail.getAddrs().some((each) => each.toString().includes('/p2p-circuit'))) end()
    }
    events.addEventListener('transport:listening', look)
    signal.addEventListener('abort', end, { once: true })
    void untilAborted(controller.signal).then(() => {
      events.removeEventListener('transport:listening', look)
      signal.removeEventListener('abort', end)
    })
    clock.sleep(headStartMs, controller).then(end, () => undefined)
    return controller.signal
  }

  return {
    add: (started) => void work.push(started),
    holdBack: (strategy) => (host) => {
      const discovery = strategy(host)
      // A value that is no discovery is for the traversal to reject.
      if (!isObject(discovery) || discovery.kind === 'relay') return discovery
      return withOverrides(discovery, {
        async discover(network, found, call) {
          if (!last.aborted) await orAborted(untilAborted(last), call).catch(() => undefined)
          return discovery.discover(network, found, call)
        }
      })
    },
    async begin(call) {
      if (work.length === 0) return
      last = startNow(call)
      // A strategy that fails here gives up its head start; its search shows what is wrong.
      const attempts = work.map(async (started) => {
        try {
          await started(call)
        } catch {
          // Its search reports it.
        }
      })
      await Promise.race([untilAborted(last), ...attempts])
    }
  }
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null
