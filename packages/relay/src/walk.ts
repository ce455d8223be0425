import type { PeerId } from '@libp2p/interface'
import { type CallOptions, type NatError, natError } from '@postern/interface'
import { within } from '@postern/net'
import type { RelayHost } from './host.js'

/** How many strangers are dialled, and how many are looked at, in one walk at most. */
const mostDials = 20
const mostMet = 200
/** How long a walk takes at most, in ms. Routing that knows nobody would walk on the spot, as fast as it can. */
const walkMs = 30_000
const dialMs = 5000
/** Connected peers, and the relays that were named, come first. */
const firstAfterMs = 2000
const pauseMs = 60_000
const mostPauseMs = 3_600_000

/** Meets peers by peer routing, one after the other, as long as there are not enough relays among those connected. */
export async function walk(host: RelayHost, enough: () => boolean, { signal }: CallOptions): Promise<void> {
  const { components, clock, log } = host
  const rest = (ms: number): Promise<void> => clock.sleep(ms, { signal }).catch(() => undefined)
  const late = (): NatError => natError('NO_REPLY', `the walk took longer than ${walkMs} ms`)
  await rest(firstAfterMs)
  for (let pause = pauseMs; !signal.aborted; pause = Math.min(mostPauseMs, pause * 2)) {
    if (!enough()) {
      await within(clock, walkMs, { signal }, late, meet).catch((error: unknown) => {
        if (!signal.aborted) log.debug(`peer routing leads to no relay: ${String(error)}`)
      })
    }
    await rest(pause)
  }

  async function meet(call: CallOptions): Promise<void> {
    let dials = 0
    let met = 0
    for await (const { id, multiaddrs } of components.randomWalk.walk(call)) {
      if (multiaddrs.length > 0 && components.connectionManager.getConnections(id).length === 0) {
        dials++
        await dialStranger(host, id, false, call)
      }
      if (enough() || ++met >= mostMet || dials >= mostDials || call.signal.aborted) return
    }
  }
}

/** How many relays that have dialled us are dialled in turn. They choose themselves, and what they say where they are. */
const mostCallers = 16

/** Dials those who serve as relays and have dialled us, one after the other: where they listen, others can dial them. */
export function createCallers(
  host: RelayHost,
  enough: () => boolean,
  { signal }: CallOptions
): { readonly called: (peer: PeerId) => void; readonly settled: () => Promise<void> } {
  const seen = new Set<string>()
  let last = Promise.resolve()
  return {
    called(peer) {
      if (signal.aborted || seen.has(peer.toString()) || seen.size >= mostCallers || enough()) return
      seen.add(peer.toString())
      last = last.then(async () =>
        enough() || signal.aborted ? undefined : dialStranger(host, peer, true, { signal })
      )
    },
    settled: () => last
  }
}

/** Whether it is a relay, identify tells. */
async function dialStranger(
  { components, clock, log }: RelayHost,
  peer: PeerId,
  force: boolean,
  call: CallOptions
): Promise<void> {
  const late = (): NatError => natError('NO_REPLY', `not connected within ${dialMs} ms`)
  try {
    await within(clock, dialMs, call, late, (bounded) =>
      components.connectionManager.openConnection(peer, { ...bounded, force })
    )
  } catch (error) {
    if (!call.signal.aborted) log.debug(`${peer.toString()} cannot be dialled: ${String(error)}`)
  }
}
