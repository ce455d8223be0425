import { type AddressClass, canonicalAddress, classOf, type Endpoint, familyOf, natError } from '@postern/interface'
import type { StunAddress } from './address-codec.js'

/** The address classes that can never be a mapped address. */
const impossibleClasses: ReadonlySet<AddressClass> = new Set(['unspecified', 'multicast', 'broadcast', 'reserved'])

/**
 * Checks the address that a server says it sees. Throws `UNTRUSTED_REPLY` if it cannot belong to this host: an address
 * that no host can have, the server's own, or a private one although the server is on the internet. Throws
 * `UNSUPPORTED` if it is of another family. Only other servers can show that a plausible address is wrong.
 */
export function checkMapped(mapped: StunAddress, server: StunAddress, endpoint: Endpoint): void {
  const { address, port } = mapped
  const kind = classOf(address)
  const told = `the STUN server ${server.address} says that it sees ${address} port ${port}`
  if (familyOf(address) !== endpoint.family)
    throw natError('UNSUPPORTED', `${told}: a NAT translates between IPv4 and IPv6`)
  if (port === 0 || kind === undefined || impossibleClasses.has(kind))
    throw natError('UNTRUSTED_REPLY', `${told}, which cannot be the address of a host`)
  const isOwn = canonicalAddress(endpoint.address) === canonicalAddress(address)
  // A host that asks itself, or a public host, is seen at its own address.
  if (isOwn) return
  if (canonicalAddress(server.address) === canonicalAddress(address))
    throw natError('UNTRUSTED_REPLY', `${told}, which is the server's own address`)
  if (classOf(server.address) === 'global' && kind !== 'global')
    throw natError('UNTRUSTED_REPLY', `${told}, which it cannot see from the internet`)
}

/** Returns the other address of a server if it is plausible; otherwise a server could make this host send to any
 * address. */
export function usableOther(other: StunAddress | undefined, server: StunAddress): StunAddress | undefined {
  if (other === undefined || other.port === 0 || other.port === server.port) return undefined
  const [theirs, own] = [canonicalAddress(other.address), canonicalAddress(server.address)]
  // RFC 5780 §7.4: both the address and the port differ.
  if (theirs === undefined || own === undefined || theirs === own) return undefined
  return familyOf(theirs) === familyOf(own) && classOf(theirs) === classOf(own) ? other : undefined
}
