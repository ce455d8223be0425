import { type AddressClass, canonicalAddress, classOf, type Endpoint, familyOf, natError } from '@postern/interface'
import type { StunAddress } from './address-codec.js'

/** What no host has as its address towards another one. */
const nobodys: ReadonlySet<AddressClass> = new Set(['unspecified', 'multicast', 'broadcast', 'reserved'])

/**
 * Throws `UNTRUSTED_REPLY` where what a server says that it sees cannot be our address, or `UNSUPPORTED` where it is of
 * another family: an address that nobody has, the server's own, or a private one although the server is on the internet. A
 * wrong address that could be ours is found out by asking others.
 */
export function checkMapped(mapped: StunAddress, server: StunAddress, endpoint: Endpoint): void {
  const { address, port } = mapped
  const kind = classOf(address)
  const told = `the STUN server ${server.address} says that it sees ${address} port ${port}`
  if (familyOf(address) !== endpoint.family)
    throw natError('UNSUPPORTED', `${told}: something translates between IPv4 and IPv6`)
  if (port === 0 || kind === undefined || nobodys.has(kind))
    throw natError('UNTRUSTED_REPLY', `${told}, which is no address of a host`)
  const isOwn = canonicalAddress(endpoint.address) === canonicalAddress(address)
  // A host that asks itself, or a public one, is seen at the address that it has.
  if (isOwn) return
  if (canonicalAddress(server.address) === canonicalAddress(address))
    throw natError('UNTRUSTED_REPLY', `${told}, its own address`)
  if (classOf(server.address) === 'global' && kind !== 'global')
    throw natError('UNTRUSTED_REPLY', `${told}, which it cannot see from the internet`)
}

/** The other address of a server, if it is one to send to: anything else would make us send to whomever a server names. */
export function usableOther(other: StunAddress | undefined, server: StunAddress): StunAddress | undefined {
  if (other === undefined || other.port === 0 || other.port === server.port) return undefined
  const [theirs, own] = [canonicalAddress(other.address), canonicalAddress(server.address)]
  // RFC 5780 §7.4: both differ.
  if (theirs === undefined || own === undefined || theirs === own) return undefined
  return familyOf(theirs) === familyOf(own) && classOf(theirs) === classOf(own) ? other : undefined
}
