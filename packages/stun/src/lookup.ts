import { lookup as systemLookup } from 'node:dns/promises'
import { type CallOptions, familyOf, natError } from '@postern/interface'
import { orAborted } from '@postern/net'
import type { ServerName } from './server-name.js'
import type { StunAddress } from './address-codec.js'

/** Finds the IP addresses of a name. */
export type Lookup = (host: string) => Promise<readonly string[]>

/** {@link Lookup} as this machine does it: the file of hosts and the DNS. */
export const systemNames: Lookup = async (host) =>
  (await systemLookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address)

/** The first address of each family that a server has. Rejects with `NAME_NOT_RESOLVED`. */
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
    throw natError('NAME_NOT_RESOLVED', `the name ${host} leads to no address`, { cause })
  }
  const each = ([4, 6] as const).flatMap((family) => found.find((address) => familyOf(address) === family) ?? [])
  if (each.length === 0) throw natError('NAME_NOT_RESOLVED', `the name ${host} leads to no address`)
  return each.map((address) => ({ address, port }))
}
