import type { Report, TraversalEvents } from '@postern/core'
import type { StatusSource } from '../../src/index.js'

export const emptyReport: Report = {
  schemaVersion: 1,
  verdict: 'unknown',
  cause: null,
  advice: [],
  gateway: null,
  externalAddresses: [],
  nat: null,
  strategies: [],
  candidates: []
}

export interface Scripted extends StatusSource {
  /** What `report()` returns. */
  shown: Report
  /** How often `report()` was called. */
  asked: number
  /** How many listeners there are. */
  listeners: number
  fire<Name extends keyof TraversalEvents>(name: Name, detail: TraversalEvents[Name]['detail']): void
}

/** A source whose report and events the test sets. */
export function scriptedSource(report: Report = emptyReport): Scripted {
  const target = new EventTarget()
  const source: Scripted = {
    shown: report,
    asked: 0,
    listeners: 0,
    report() {
      source.asked++
      return source.shown
    },
    addEventListener(name: string, listener: unknown, options?: { readonly signal?: AbortSignal } | boolean) {
      source.listeners++
      if (typeof options === 'object') options.signal?.addEventListener('abort', () => source.listeners--)
      target.addEventListener(name, listener as (event: Event) => void, options)
    },
    fire: (name, detail) => void target.dispatchEvent(new CustomEvent(name, { detail }))
  }
  return source
}
