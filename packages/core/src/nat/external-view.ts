import type { CallOptions, Family } from '@postern/interface'
import type { Context } from '../context.js'
import type { WantedEndpoints } from '../discovery/wanted-endpoints.js'
import { createKeepAlive } from './keep-alive.js'
import { createObservers, type Observers } from './observe.js'
import { createObservedCandidates, type ObservedCandidates } from './observed-candidates.js'

/** What remote parties see of this host: asks observers, makes candidates of it, and keeps their sockets open. */
export interface ExternalView extends Pick<Observers, 'lend' | 'facts'>, Pick<ObservedCandidates, 'unconfirmed'> {
  /** Looks for what is to be done now. */
  review(call: CallOptions): void
  /** A search begins after a change of the network in these families: what was seen there no longer counts. */
  searched(changed: readonly Family[]): void
  /** The network has changed in these families: withdraws the addresses that were seen there. */
  networkChanged(changed: readonly Family[]): void
  /** Forgets everything at the end of a run. */
  clear(): void
  /** Resolves when no server is asked any more. */
  settled(): Promise<void>
}

export function createExternalView(context: Context, wanted: WantedEndpoints): ExternalView {
  const observers = createObservers(context)
  const keepAlive = createKeepAlive(context, observers)
  const observed = createObservedCandidates(context, wanted, observers)
  return {
    lend: observers.lend,
    facts: observers.facts,
    unconfirmed: observed.unconfirmed,
    review(call) {
      observed.review()
      observers.review(call)
      keepAlive.review(call)
    },
    searched(changed) {
      observers.reset(changed)
      observed.reset(changed)
    },
    networkChanged: observed.reset,
    clear() {
      observers.reset([4, 6])
      observed.clear()
    },
    async settled() {
      await Promise.all([observers.settled(), keepAlive.settled()])
    }
  }
}
