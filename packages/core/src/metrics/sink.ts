import type { TraversalEvents, TypedEvents } from '../model/events.js'
import type { Report } from '../model/report.js'
import type { Instrument } from './instruments.js'

/** What is measured: a traversal, an exposure, or `node.services.nat`. */
export interface MetricsSource extends Pick<TypedEvents<TraversalEvents>, 'addEventListener'> {
  /** Returns the current report. */
  report(): Report
}

/** The values of the attributes of one measurement, by the name of the attribute. */
export type Attributes = Readonly<Record<string, string>>

/** One value of a gauge. */
export interface Reading {
  readonly value: number
  readonly attributes: Attributes
}

/** Where the numbers go. Its methods must not throw. */
export interface MetricsSink {
  /** Adds a value to a counter, or records one in a histogram. */
  record(instrument: Instrument, value: number, attributes: Attributes): void
  /** Reads a gauge whenever its value is asked for. Returns a function that ends this. Readings of the same instrument
   * with the same attributes are added up: several traversals may write to one sink. */
  observe(instrument: Instrument, read: () => readonly Reading[]): () => void
}
