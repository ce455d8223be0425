import { lookup as systemLookup } from 'node:dns/promises'
import { type CallOptions, errorText, familyOf, type NatError, natError, orAborted } from '@postern/interface'
import type { StunAddress } from './address-codec.js'
import type { ServerName } from './server-name.js'

/** Resolves to the IP addresses of a name. */
export type Lookup = (host: string) => Promise<readonly string[]>

/** {@link Lookup} with the resolver of this machine: the hosts file and the DNS. */
export const systemNames: Lookup = async (host) =>
  (await systemLookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address)

/** Returns why a name does not resolve, and what to do about it. Only `ENOTFOUND` and `ENODATA` are answers of the
 * DNS. */
function whyNotResolved(host: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
  if (code === 'ENOTFOUND' || code === 'ENODATA') return `the DNS does not know the name ${host} (${code}): ${byName}`
  if (code === 'EAI_AGAIN' || code === 'ETIMEOUT' || code === 'ECONNREFUSED')
    return `the name ${host} cannot be looked up, because no DNS server answers this machine (${code}): ${byAddress}`
  return `the name ${host} cannot be looked up (${errorText(error)}): ${byAddress}`
}

const byName = 'check its spelling, or the DNS server of this machine'
const byAddress = 'check the network connection, or name the server by its IP address'

/** Returns the error for a look-up that takes longer than `ms`. */
export const slowLookup = (host: string, ms: number): NatError =>
  natError(
    'NAME_NOT_RESOLVED',
    `the name ${host} is not resolved after ${ms / 1000} s, because no DNS server answers this machine: ${byAddress}`
  )

/** Resolves to the first address of a server in each family. Rejects with `NAME_NOT_RESOLVED`. */
export async function addressesOf(
  { host, port }: ServerName,
  lookup: Lookup,
  call: CallOptions
): Promise<readonly StunAddress[]> {
  call.signal.throwIfAborted()
  if (familyOf(host) !== undefined) return [{ address: host, port }]
  let found: readonly string[]
  try {
    found = await orAborted(lookup(host), call)
  } catch (cause) {
    call.signal.throwIfAborted()
    throw natError('NAME_NOT_RESOLVED', whyNotResolved(host, cause), { cause })
  }
  const each = ([4, 6] as const).flatMap((family) => found.find((address) => familyOf(address) === family) ?? [])
  if (each.length === 0) throw natError('NAME_NOT_RESOLVED', `the name ${host} has no IP address: ${byName}`)
  return each.map((address) => ({ address, port }))
}
