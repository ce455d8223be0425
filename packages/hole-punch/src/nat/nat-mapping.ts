import type { Connection } from '@libp2p/interface'
import { anySignal, type CallOptions, type Family } from '@postern/interface'
import type { Connect } from '../dial/tcp-dial.js'
import type { HolePunchHost } from '../host.js'
import { type Mapping, mappingFrom } from './mapping.js'
import { findObservers } from './port-observers.js'
import { comparePort, type PunchPort, preparePorts } from './punch-ports.js'
import { familyOfRelay } from './relay-family.js'

/** The behaviour of our NAT, which is measured once on each network. */
export interface Knowledge {
  /** Returns how the NAT maps ports, as peers observe it, or else as STUN servers do; undefined while unknown. */
  mapping(): Mapping | undefined
  /**
   * Returns the external address if the NAT keeps port numbers there; undefined if it does not, or if it is unknown.
   */
  keptPortsAt(family: Family): string | undefined
  /** Starts a measurement unless the behaviour is known. */
  learn(relayed: Connection | undefined): void
  /**
   * Starts a measurement a second after a reservation, so that the result is ready for the first relayed connection.
   */
  learnSoon(): void
  /** Resolves when the running measurement ends, or after 250 ms. Rejects with the signal's reason. */
  learned(call: CallOptions): Promise<void>
  /** Records the observed external address of a port. */
  seen(port: PunchPort): void
  /** Resolves when no measurement runs any more. Called after the signal aborted. */
  ended(): Promise<void>
}

/** How long a punch waits for the measurement (ms). It takes about as long as the observation of one port. */
const waitMs = 250
/** Delay of the measurement after a reservation (ms), so that it does not slow the start of the node. */
const soonMs = 1000

/** The minimum time between two measurements (ms). Each opens connections to observers, and every relayed connection may
 * start one. */
const restMs = 5000

export function createKnowledge(host: HolePunchHost, connect: Connect, call: CallOptions): Knowledge {
  const { clock, components } = host
  const kept = new Map<Family, string>()
  let observed: Mapping | undefined
  let isKnown = false
  let notBeforeMs = Number.NEGATIVE_INFINITY
  let learning: Promise<void> | undefined
  let soon: Promise<void> | undefined

  async function findOut(relayed: Connection | undefined): Promise<void> {
    const family = relayed && familyOfRelay(relayed)
    const observers = await findObservers(components, relayed, family)
    const seen = await comparePort(host, connect, observers, call)
    observed = seen?.mapping
    if (seen?.mapping === 'endpoint-independent') note(seen.port)
    isKnown = seen !== undefined
    if (isKnown || mapping() !== 'endpoint-independent' || kept.has(family ?? 4)) return
    // STUN servers over UDP cannot show whether TCP ports keep their numbers. One peer can.
    const shown = await preparePorts(host, connect, observers, 1, call)
    shown.ports.forEach(note)
    shown.release()
  }

  function mapping(): Mapping | undefined {
    const told = host.nat?.()?.mapping ?? undefined
    return observed ?? (told && mappingFrom(told))
  }

  function note({ localPort, external }: PunchPort): void {
    if (external.port === localPort) kept.set(external.family, external.host)
  }

  function learn(relayed: Connection | undefined): void {
    if (call.signal.aborted || isKnown || learning !== undefined || clock.monotonicMs() < notBeforeMs) return
    // A later measurement may find another observer, but not every relayed connection may start one.
    learning = findOut(relayed)
      .catch(() => undefined)
      .finally(() => {
        learning = undefined
        notBeforeMs = clock.monotonicMs() + restMs
      })
  }

  return {
    mapping,
    keptPortsAt: (family) => kept.get(family),
    learn,
    learnSoon() {
      soon ??= clock
        .sleep(soonMs, call)
        .then(() => learn(undefined))
        .catch(() => undefined)
        .finally(() => (soon = undefined))
    },
    async learned({ signal }) {
      if (learning === undefined) return
      const known = new AbortController()
      void learning.then(() => known.abort())
      await clock.sleep(waitMs, { signal: anySignal([signal, known.signal]) }).catch(() => undefined)
      signal.throwIfAborted()
    },
    seen(port) {
      const { external, localPort } = port
      // Another address or port invalidates what was known.
      if (external.port !== localPort) kept.delete(external.family)
      else if (kept.has(external.family) || mapping() === 'endpoint-independent') note(port)
    },
    async ended() {
      await soon
      await learning
    }
  }
}
