import type { Service } from './faults.js'

/** What one service was asked and did. */
export interface ServiceCounters {
  /** Everything that came in, whether it was answered or not. */
  requests: number
  /** Everything that went out unasked for excepted. */
  replies: number
  /** Replies that say no. */
  errors: number
  /** Mappings made, mappings extended, mappings deleted. */
  maps: number
  renewals: number
  deletes: number
  /** Requests that nobody knows: another version, opcode, action, path. */
  unknown: number
  /** Requests by name: `MAP`, `AddPortMapping`, `M-SEARCH`, `GET /…`. */
  readonly operations: Record<string, number>
}

export type Counters = Readonly<Record<Service, ServiceCounters>>

export function createCounters(): Counters {
  return { 'nat-pmp': zeros(), pcp: zeros(), ssdp: zeros(), description: zeros(), control: zeros() }
}

/** One more request of this name. */
export function countOperation(counters: ServiceCounters, name: string): void {
  counters.operations[name] = (counters.operations[name] ?? 0) + 1
}

const zeros = (): ServiceCounters => ({
  requests: 0,
  replies: 0,
  errors: 0,
  maps: 0,
  renewals: 0,
  deletes: 0,
  unknown: 0,
  operations: {}
})
