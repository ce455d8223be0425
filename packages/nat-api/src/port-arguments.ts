import { inspect } from 'node:util'
import type { Protocol } from '@postern/interface'
import { readTtl } from './options.js'

/** What `map` and `unmap` take as an object. A port that is left out is the same as the other one. */
export interface PortOptions {
  /** The port on the router. */
  readonly publicPort?: number | string | undefined
  /** The port on this host. */
  readonly privatePort?: number | string | undefined
  /** `'TCP'` or `'UDP'`, in upper or lower case.
   * @default both */
  readonly protocol?: string | null | undefined
  /** The lifetime, in seconds. Less than 1200 counts as 1200.
   * @default that of the client */
  readonly ttl?: number | string | undefined
  /** The description in the list of a UPnP router, if this is the first mapping of a client without one.
   * @default that of the client */
  readonly description?: string | null | undefined
  /** Accepted and ignored, as it is by the originals. */
  readonly gateway?: string | null | undefined
}

/** The ports of a call, and the protocols. */
export interface PortRequest {
  readonly publicPort: number
  readonly privatePort: number
  readonly protocols: readonly Protocol[]
  readonly lifetimeMs: number
  readonly description: string | undefined
}

/** Which mappings a call is about. A port that is left out may be any. */
export interface PortFilter {
  readonly publicPort: number | undefined
  readonly privatePort: number | undefined
  readonly protocols: readonly Protocol[]
}

/** Returns what a call of `map` asks for. Throws an Error in the words of the originals, and a TypeError for a port that
 * is not in 1…65535. */
export function readRequest(first: unknown, second: unknown, ttl: number): PortRequest {
  const options = readArguments(first, second)
  const { publicPort = options.privatePort, privatePort = options.publicPort, protocols } = options
  if (publicPort === undefined || privatePort === undefined) throw new Error(noPort)
  const { ttl: ownTtl, description } = isObject(first) ? first : {}
  return {
    publicPort,
    privatePort,
    protocols,
    lifetimeMs: readTtl(ownTtl, ttl) * 1000,
    description: typeof description === 'string' && description !== '' ? description : undefined
  }
}

/** Returns which mappings a call of `unmap` is about. Throws like {@link readRequest}. A single number is the public
 * port. */
export function readFilter(first: unknown, second: unknown): PortFilter {
  const filter = readArguments(first, second)
  if (filter.publicPort === undefined && filter.privatePort === undefined) throw new Error(noPort)
  return filter
}

const noPort = 'port was not specified'

function readArguments(first: unknown, second: unknown): PortFilter {
  const hasSecond = second !== undefined && second !== null
  if (typeof first === 'number') {
    if (hasSecond && typeof second !== 'number') throw new Error('invalid parameters')
    return {
      publicPort: readPort('publicPort', first),
      privatePort: hasSecond ? readPort('privatePort', second) : undefined,
      protocols: both
    }
  }
  if (!isObject(first)) throw new Error(noPort)
  if (hasSecond) throw new Error('invalid parameters')
  return {
    publicPort: readPort('publicPort', first['publicPort']),
    privatePort: readPort('privatePort', first['privatePort']),
    protocols: readProtocols(first['protocol'])
  }
}

// UDP before TCP, as in the originals.
const both: readonly Protocol[] = ['udp', 'tcp']

function readProtocols(protocol: unknown): readonly Protocol[] {
  if (protocol === undefined || protocol === null || protocol === '') return both
  const name = typeof protocol === 'string' ? protocol.toLowerCase() : undefined
  if (name !== 'udp' && name !== 'tcp') throw new Error('protocol is invalid')
  return [name]
}

function readPort(name: string, value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
  if (typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new TypeError(`${name} is not in 1…65535: ${inspect(value, { depth: 0 })}`)
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null
