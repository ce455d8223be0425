import type { Service } from './faults.js'

/** The counters of one service. */
export interface ServiceCounters {
  /** Received requests, whether answered or not. */
  requests: number
  /** Sent replies, without announcements. */
  replies: number
  /** Replies that report an error. */
  errors: number
  /** Created, extended and deleted mappings. */
  maps: number
  /** Extended mappings. */
  renewals: number
  /** Deleted mappings. */
  deletes: number
  /** Unknown requests: another version, opcode, action or path. */
  unknown: number
  /** The number of requests by name: `MAP`, `AddPortMapping`, `M-SEARCH`, `GET /…`. */
  readonly operations: Record<string, number>
}

/** The counters of all services. */
export type Counters = Readonly<Record<Service, ServiceCounters>>

export function createCounters(): Counters {
  return { 'nat-pmp': zeros(), pcp: zeros(), ssdp: zeros(), description: zeros(), control: zeros() }
}

/** Counts a request of this name. */
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
