import { type Family, type NatError, natError, type Observer } from '@postern/interface'
import type { Context } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { chooseObservers } from './choose-observers.js'
import type { NatKnowledge, NatObservation } from './nat-behaviour.js'

/** The outcome of asking one observer, and the strategy that found it. */
export type Outcome = { readonly entry: StrategyEntry } & (
  | { readonly sighting: NatObservation; readonly observer: Observer }
  | { readonly failure: NatError }
)

/** Writes into the lines of the strategies what came of asking their observers. */
export interface ObserverStatus {
  /** Records that none of a strategy's servers has an address of the socket's family, so that its line does not look as
   * if they would be asked. */
  noteOtherFamily(family: Family): void
  /** Records that there was no socket to ask with. */
  noteNoSocket(error: NatError): void
  /** Sets the failure in a strategy's line: that of its first observer if all of them failed, else a dispute if there is
   * one. */
  answered(entry: StrategyEntry): void
}

/**
 * @param outcomes - what came of asking each observer over each socket
 * @param knowledge - what all observers together say
 */
export function createObserverStatus(
  { bus, discoveries }: Context,
  outcomes: () => readonly Outcome[],
  knowledge: () => NatKnowledge
): ObserverStatus {
  return {
    noteOtherFamily(family: Family): void {
      const able = chooseObservers(discoveries.entries, family, Number.POSITIVE_INFINITY)
      const told = outcomes()
      for (const entry of discoveries.entries) {
        if (entry.kind !== 'observer' || entry.abilities.size === 0) continue
        if ([...able, ...told].some((each) => each.entry === entry)) continue
        entry.status.failed(
          natError('UNREACHABLE', `no server has an IPv${family} address, and this machine asks over IPv${family}`)
        )
        bus.emit('reportChanged', undefined)
      }
    },
    noteNoSocket(error: NatError): void {
      const told = outcomes()
      for (const entry of discoveries.entries) {
        if (entry.kind !== 'observer' || told.some((each) => each.entry === entry)) continue
        entry.status.failed(error)
        bus.emit('reportChanged', undefined)
      }
    },
    answered(entry: StrategyEntry): void {
      const own = outcomes().filter((outcome) => outcome.entry === entry)
      const failures = own.flatMap((outcome) => ('failure' in outcome ? [outcome.failure] : []))
      const hasObserved = failures.length < own.length
      const failure = hasObserved ? knowledge().dispute : failures[0]
      entry.status.observersAnswered(hasObserved)
      if (failure === undefined) entry.status.succeeded()
      else entry.status.failed(failure)
      bus.emit('reportChanged', undefined)
    }
  }
}
