import type { Owner } from '@postern/core'
import type { Endpoint } from '@postern/interface'

/** An endpoint that a process wants mapped. */
export interface OwnedEndpoint extends Pick<Endpoint, 'protocol' | 'address' | 'port'> {
  /** The key of the requests to each gateway, by the address of the gateway. A secret, as in the file store. */
  readonly keys: Readonly<Record<string, string>>
  /** The external addresses that are mapped for it. */
  readonly addresses: readonly string[]
}

/** The record that a process publishes for others. */
export interface OwnerRecord extends Owner {
  /** The machine and network stack that the addresses belong to. */
  readonly place: string
  readonly endpoints: readonly OwnedEndpoint[]
}

const format = 1

/** Formats a record as JSON. */
export const formatRecord = (record: OwnerRecord): string => `${JSON.stringify({ format, ...record })}\n`

/** Parses a record. Returns undefined for any other text. */
export function parseRecord(text: string): OwnerRecord | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(parsed) || parsed['format'] !== format) return undefined
  const { pid, program, place, endpoints } = parsed
  if (typeof pid !== 'number' || typeof program !== 'string' || typeof place !== 'string') return undefined
  if (!Array.isArray(endpoints) || !endpoints.every(isOwned)) return undefined
  return { pid, program, place, endpoints }
}

/** Returns whether two records are about the same endpoint. */
export const isSameEndpoint = (one: Omit<OwnedEndpoint, 'keys' | 'addresses'>, other: typeof one): boolean =>
  one.protocol === other.protocol && one.address === other.address && one.port === other.port

function isOwned(value: unknown): value is OwnedEndpoint {
  if (!isObject(value)) return false
  const { protocol, address, port, keys, addresses } = value
  return (
    (protocol === 'tcp' || protocol === 'udp') &&
    typeof address === 'string' &&
    typeof port === 'number' &&
    isObject(keys) &&
    Object.values(keys).every((key) => typeof key === 'string' && /^[0-9a-f]{32}$/.test(key)) &&
    Array.isArray(addresses) &&
    addresses.every((each) => typeof each === 'string')
  )
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
