import type { Connection } from '@libp2p/interface'
import type { CallOptions } from '@postern/interface'
import type { Context } from './context.js'
import { findObservers } from './observers.js'
import { type PunchPorts, preparePorts } from './ports.js'
import { targetOf } from './targets.js'

/** Ports for the rounds of one punch. Each round takes fresh ones, and those of the next are shown while it lasts. */
export interface Supply {
  /** Rejects with `EXTERNAL_ADDRESS_UNKNOWN`, or with the signal's reason. */
  take(): Promise<PunchPorts>
  /** Lets go of all of them. */
  end(): void
}

/** Begins at once: what the other side waits for between two messages it takes for the way. */
export function createSupply({ host, settings, seen }: Context, relayed: Connection, call: CallOptions): Supply {
  const all: Promise<PunchPorts>[] = []
  let next = show()

  function show(): Promise<PunchPorts> {
    const shown = prepare()
    // Taken later, or never.
    shown.catch(() => undefined)
    all.push(shown)
    return shown
  }

  async function prepare(): Promise<PunchPorts> {
    // The two sides of a relay can be of different families; the one that the relay was dialled with is sure to work.
    const family = targetOf(relayed.remoteAddr.bytes)?.family
    const observers = await findObservers(host.components, relayed, family)
    const ready = await preparePorts(host, settings.connect, observers, settings.ports, call)
    for (const { external } of ready.ports) seen(external.host)
    return ready
  }

  return {
    take() {
      const taken = next
      next = taken.then(show, show)
      next.catch(() => undefined)
      return taken
    },
    end() {
      for (const each of all) {
        each.then(
          (ports) => ports.release(),
          () => undefined
        )
      }
    }
  }
}
