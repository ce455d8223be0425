import {
  type CallOptions,
  type Clock,
  errorText,
  familyOf,
  isNatError,
  type NatError,
  natError,
  orAborted
} from '@postern/interface'
import { nodeDns } from '../async/builtins.js'

/** Resolves to the IP addresses of a name. */
export type Lookup = (host: string) => Promise<readonly string[]>

/** {@link Lookup} with the resolver of this machine: the hosts file and the DNS. */
export const systemNames: Lookup = async (host) =>
  (await nodeDns().promises.lookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address)

/** The wait before a name is looked up again after a failure, in ms; it doubles with every failure. */
const backOffMs = { first: 5000, max: 300_000 } as const

/** The time after which a slow look-up is reported, in ms. It continues: resolvers try several servers, for up to 30
 * s. */
const lookupMs = 4000

const byName = 'check its spelling, or the DNS server of this machine'
const byAddress = 'check the network connection, or name the server by its IP address'

/** The options of {@link followHost}. */
export interface FollowHostOptions {
  /** Resolves names. */
  readonly lookup: Lookup
  /** The clock for the waits between look-ups. */
  readonly clock: Clock
  /** Jitter of these waits: a number in [0, 1). */
  readonly random: () => number
  /** Called with why the name is not resolved yet: `NAME_NOT_RESOLVED`. */
  readonly absent: (reason: NatError) => void
}

/** Resolves to the first address of a host in each family. Looks a name up again, with growing waits, until it
 * resolves. Resolves to an empty list when the signal aborts. */
export async function followHost(
  host: string,
  { lookup, clock, random, absent }: FollowHostOptions,
  call: CallOptions
): Promise<readonly string[]> {
  for (let failures = 1; !call.signal.aborted; failures += 1) {
    const over = new AbortController()
    clock.sleep(lookupMs, over).then(
      () => absent(slowLookup(host)),
      () => undefined
    )
    try {
      const addresses = await addressesOf(host, lookup, call)
      return call.signal.aborted ? [] : addresses
    } catch (error) {
      if (call.signal.aborted) return []
      if (!isNatError(error)) throw error
      absent(error)
    } finally {
      over.abort()
    }
    const waitMs = Math.min(backOffMs.first * 2 ** (failures - 1), backOffMs.max)
    await clock.sleep(waitMs * (0.8 + 0.4 * random()), call).catch(() => undefined)
  }
  return []
}

/** Resolves to the first address of a host in each family. Rejects with `NAME_NOT_RESOLVED`. */
async function addressesOf(host: string, lookup: Lookup, call: CallOptions): Promise<readonly string[]> {
  call.signal.throwIfAborted()
  if (familyOf(host) !== undefined) return [host]
  let found: readonly string[]
  try {
    found = await orAborted(lookup(host), call)
  } catch (cause) {
    call.signal.throwIfAborted()
    throw natError('NAME_NOT_RESOLVED', whyNotResolved(host, cause), { cause })
  }
  const each = ([4, 6] as const).flatMap((family) => found.find((address) => familyOf(address) === family) ?? [])
  if (each.length === 0) throw natError('NAME_NOT_RESOLVED', `the name ${host} has no IP address: ${byName}`)
  return each
}

/** Returns why a name does not resolve, and what to do about it. Only `ENOTFOUND` and `ENODATA` are answers of the
 * DNS. */
function whyNotResolved(host: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
  if (code === 'ENOTFOUND' || code === 'ENODATA') return `the DNS does not know the name ${host} (${code}): ${byName}`
  if (code === 'EAI_AGAIN' || code === 'ETIMEOUT' || code === 'ECONNREFUSED')
    return `the name ${host} cannot be looked up, because no DNS server answers this machine (${code}): ${byAddress}`
  return `the name ${host} cannot be looked up (${errorText(error)}): ${byAddress}`
}

const slowLookup = (host: string): NatError =>
  natError(
    'NAME_NOT_RESOLVED',
    `the name ${host} is not resolved after ${lookupMs / 1000} s, because no DNS server answers this machine: ${byAddress}`
  )
