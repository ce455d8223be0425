import type { CallOptions } from '@postern/interface'
import type { RelayHost } from './host.js'

/** How many strangers are dialled in one walk, at most. */
const mostDials = 20
const dialMs = 5000
/** Connected peers, and the relays that were named, come first. */
const firstAfterMs = 2000
const pauseMs = 60_000
const mostPauseMs = 3_600_000

/** Meets peers by peer routing, one after the other, as long as there are not enough relays among those connected. */
export async function walk(
  { components, clock, log }: RelayHost,
  enough: () => boolean,
  { signal }: CallOptions
): Promise<void> {
  const rest = (ms: number): Promise<void> => clock.sleep(ms, { signal }).catch(() => undefined)
  await rest(firstAfterMs)
  for (let pause = pauseMs; !signal.aborted; pause = Math.min(mostPauseMs, pause * 2)) {
    if (!enough()) await meet().catch((error: unknown) => log.debug(`no peers to meet: ${String(error)}`))
    await rest(pause)
  }

  async function meet(): Promise<void> {
    let dials = 0
    for await (const { id, multiaddrs } of components.randomWalk.walk({ signal })) {
      if (enough() || dials >= mostDials) return
      if (multiaddrs.length === 0 || components.connectionManager.getConnections(id).length > 0) continue
      dials++
      await components.connectionManager
        .openConnection(id, { signal: AbortSignal.any([signal, AbortSignal.timeout(dialMs)]) })
        .catch(() => undefined)
    }
  }
}
