import { type CallOptions, type Clock, waitAtMost, within } from '@postern/interface'

/** Time limit for the transport to listen (ms). It gives up after 5 s itself; if it has not by then, it never will. */
const listenMs = 6000

/** Makes the transport listen, one call at a time. */
export interface ListenOnce {
  /** Rejects as `listen` does, with an Error after 6 s, or with the signal's reason. The transport goes on after an
   * abort, and the next call waits for it. */
  run(listen: () => Promise<void>, call: CallOptions): Promise<void>
  /** Resolves when the transport has finished the last call; never, if the transport has dropped it. */
  settled(): Promise<void>
}

/** When the transport gets a reservation, it drops the waiting requests for others, which then never settle. */
export function createListenOnce(clock: Clock): ListenOnce {
  let settled = Promise.resolve()
  let endMs = clock.monotonicMs()
  const late = (): Error => new Error(`circuitRelayTransport() did not finish within ${listenMs} ms`)
  return {
    async run(listen, call) {
      await waitAtMost(clock, Math.max(0, endMs - clock.monotonicMs()), settled, undefined, call)
      call.signal.throwIfAborted()
      const listening = listen()
      settled = listening.then(
        () => undefined,
        () => undefined
      )
      endMs = clock.monotonicMs() + listenMs
      await within(clock, listenMs, call, late, () => listening)
    },
    settled: () => settled
  }
}
