import { isMultiaddrText, type Lease, natError, parseMultiaddr } from '@postern/interface'

/** A usable lease, and the first external address that it names. */
export interface Grant {
  readonly lease: Lease
  readonly external: NonNullable<ReturnType<typeof parseMultiaddr>>
}

/** Returns the lease with a usable lifetime, and its first external address. Throws `GRANT_INVALID`. */
export function checkGrant(lease: Lease, before?: Grant): Grant {
  const { addresses, lifetimeMs } = lease
  const isSame = before !== undefined && isSameList(addresses, before.lease.addresses)
  const external = isSame ? before.external : externalOf(lease)
  if (!addresses.every(isMultiaddrText)) throw natError('GRANT_INVALID', 'the grant names an invalid address')
  if (external === undefined) throw natError('GRANT_INVALID', 'the grant names no address')
  if (!(lifetimeMs > 0)) throw natError('GRANT_INVALID', `the grant is for ${lifetimeMs} ms`)
  if (lifetimeMs <= maxLifetimeMs || lifetimeMs === Number.POSITIVE_INFINITY) return { lease, external }
  const endless: Lease = {
    addresses,
    lifetimeMs: Number.POSITIVE_INFINITY,
    ...(lease.caveat === undefined ? {} : { caveat: lease.caveat }),
    ...(lease.quirks === undefined ? {} : { quirks: lease.quirks }),
    renew: (call) => lease.renew(call),
    release: (call) => lease.release(call)
  }
  return { lease: endless, external }
}

const externalOf = ({ addresses }: Lease): ReturnType<typeof parseMultiaddr> =>
  addresses.map((address) => parseMultiaddr(address)).find((parsed) => parsed !== undefined)

/** A lease with a longer lifetime counts as one that never expires, since no date can tell when it does (ms). */
const maxLifetimeMs = 100 * 365 * 24 * 60 * 60 * 1000

export const isSameList = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((text, index) => text === other[index])
