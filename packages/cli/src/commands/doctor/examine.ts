import type { MappingEvent, NatReport } from '@postern/core'
import { anySignal, parseMultiaddr } from '@postern/interface'
import type { Shown } from './shown.js'
import type { Trial } from './trial.js'
import { bounded } from './wait-for.js'

/** The time limit for requesting the mapping again, in ms: renewals are 4 s apart (RFC 6887 §11.2.1), and one may take
 * 2 s. */
const readBackMs = 6500
/** How long a connection to the own external address may take to arrive, in ms: it goes to the router and back. */
const hairpinMs = 1500

/** Requests the mapping again, which shows whether it is still the same, and dials it from inside. A router that was slow to
 * answer gets only the rest of the time. */
export async function examine(trial: Trial, leftMs: number, signal: AbortSignal): Promise<Shown> {
  const isTcp = (address: string): boolean => parseMultiaddr(address)?.protocol === 'tcp'
  const all = trial.report().candidates.filter(({ type, address }) => type === 'mapped' && isTcp(address))
  // Behind two routers in a row the outer one has the external address.
  const mapped = all.find(({ through }) => through !== undefined) ?? all[0]
  if (mapped === undefined) return { readBack: undefined, hairpin: 'unknown' }
  const answer = Promise.withResolvers<MappingEvent>()
  for (const name of ['renewed', 'changed', 'lost'] as const) {
    trial.addEventListener(name, ({ detail }) => {
      if (detail.protocol !== 'udp') answer.resolve(detail)
    })
  }
  trial.recheck()
  const external = parseMultiaddr(mapped.address)
  const [event, hairpin] = await Promise.all([
    bounded(answer.promise, Math.max(hairpinMs, Math.min(readBackMs, leftMs)), signal),
    external?.family === 4 ? dialOurselves(trial, external.address, external.port, signal) : ('unknown' as const)
  ])
  const readBack =
    event === undefined ? undefined : event.event === 'renewed' ? 'same' : event.event === 'lost' ? 'lost' : 'other'
  return { readBack, hairpin }
}

/** Tests hairpinning: whether the router returns connections to its own external address (RFC 4787 §6). This does not
 * show reachability from outside. */
async function dialOurselves(
  trial: Trial,
  address: string,
  port: number,
  signal: AbortSignal
): Promise<NatReport['hairpin']> {
  const over = new AbortController()
  const call = { signal: anySignal([signal, over.signal]) }
  const outcome = await bounded(trial.arrives(address, port, call), hairpinMs, signal)
  over.abort()
  if (outcome === true) return 'works'
  // After an interruption, the test was too short for a result.
  return signal.aborted ? 'unknown' : 'fails'
}
