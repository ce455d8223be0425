import type { Connection } from '@libp2p/interface'
import { anySignal, type CallOptions, type Family } from '@postern/interface'
import type { HolePunchHost } from './host.js'
import { type Mapping, mappingFrom } from './mapping.js'
import { findObservers } from './observers.js'
import { comparePort, type PunchPort, preparePorts } from './ports.js'
import { familyOfRelay } from './relayed.js'
import type { Connect } from './sockets.js'

/** What is known of our NAT, and found out once on each network. */
export interface Knowledge {
  /** How it maps ports: as peers see it, or else as STUN servers do. */
  mapping(): Mapping | undefined
  /** The address outside under which a port has the number that it has here; undefined where it has not, or nobody knows. */
  keptPortsAt(family: Family): string | undefined
  /** Finds out, unless that was done. */
  learn(relayed: Connection | undefined): void
  /** Finds out some time after a reservation was made: who is reached through it then has everything ready. */
  learnSoon(): void
  /** Resolves when it is known, or will not be, or when it has been waited for long enough. */
  learned(call: CallOptions): Promise<void>
  /** A port was shown, and seen there. */
  seen(port: PunchPort): void
  /** Resolves when nothing is found out any more; the signal has aborted. */
  ended(): Promise<void>
}

/** Two peers tell how our NAT maps ports about as fast as one tells of a port; no punch waits longer for it, in ms. */
const waitMs = 250
/** The first moments of a node are for being reachable at all, in ms. */
const soonMs = 1000

/** After it was not found out, in ms. */
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
    // What STUN servers cannot tell is whether ports of TCP keep their numbers. One peer can.
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
    // Somebody else may be there to tell when it is needed, but not whenever a stranger comes through the relay.
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
      // Another address, or another port: what was known is over.
      if (external.port !== localPort) kept.delete(external.family)
      else if (kept.has(external.family) || mapping() === 'endpoint-independent') note(port)
    },
    async ended() {
      await soon
      await learning
    }
  }
}
