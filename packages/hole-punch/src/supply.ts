import type { Connection } from '@libp2p/interface'
import { anySignal, type CallOptions } from '@postern/interface'
import type { Context } from './context.js'
import { findObservers } from './observers.js'
import { keptPorts, type PunchPorts, preparePorts } from './ports.js'
import { familyOfRelay } from './relayed.js'

/** Ports for the rounds of one punch. Each round takes fresh ones, and those of the next are shown while it lasts. */
export interface Supply {
  /** Rejects with `EXTERNAL_ADDRESS_UNKNOWN`, or with the signal's reason. */
  take(): Promise<PunchPorts>
  /** Lets go of all of them. */
  end(): void
}

/** Rounds that succeed do so sooner, most of the time, and then there is no next one, in ms. */
const laterMs = 500

/** Begins at once: what the other side waits for between two messages it takes for the way. */
export function createSupply(
  { host, settings, knowledge, seen }: Context,
  relayed: Connection,
  call: CallOptions
): Supply {
  const over = new AbortController()
  const bounded = { signal: anySignal([call.signal, over.signal]) }
  // The two sides of a relay can be of different families; the one that the relay was dialled with is sure to work.
  const family = familyOfRelay(relayed)
  const all: Promise<PunchPorts>[] = []
  // Should the NAT not keep them this time, the next round has ports that were seen.
  let next = knowledge.keptPortsAt(family ?? 4) === undefined ? show() : Promise.resolve(kept())

  /** Of both families where that is known: what the other side has is not. */
  function kept(): PunchPorts {
    const ports = ([4, 6] as const).flatMap((each) => {
      const host = knowledge.keptPortsAt(each)
      return host === undefined ? [] : keptPorts(host, each, settings.ports)
    })
    return { ports, release: () => undefined }
  }

  function show(): Promise<PunchPorts> {
    const shown = prepare(all.length)
    // Taken later, or never.
    shown.catch(() => undefined)
    // Those of the round before this one are over.
    letGo(all.at(-2))
    all.push(shown)
    return shown
  }

  /** Nobody is shown two in a row, if there is a choice: what is kept open adds up at the observers. */
  async function prepare(before: number): Promise<PunchPorts> {
    const found = await findObservers(host.components, relayed, family)
    const turn = before % Math.max(1, found.length)
    const observers = [...found.slice(turn), ...found.slice(0, turn)]
    const ready = await preparePorts(host, settings.connect, observers, settings.ports, bounded)
    for (const port of ready.ports) seen(port)
    return ready
  }

  return {
    take() {
      const taken = next
      // The round that begins now has the processor first.
      next = host.clock.sleep(laterMs, bounded).then(show)
      next.catch(() => undefined)
      return taken
    },
    end() {
      over.abort(new Error('no more ports are needed'))
      for (const each of all) letGo(each)
    }
  }
}

function letGo(shown: Promise<PunchPorts> | undefined): void {
  shown?.then(
    (ports) => ports.release(),
    () => undefined
  )
}
