import { type NatError, natError, type Protocol } from '@postern/interface'
import { decodeAddress, encodeAddress } from './address-bytes.js'

/** RFC 6887 §19: requests go to this port of the server. */
export const pcpPort = 5351
/** RFC 6887 §19: announcements come to this port. */
export const announcementPort = 5350

const version = 2 // §7.1
const announce = 0 // §14.1
const map = 1 // §11
const response = 128 // §7.2: the R bit
const headerBytes = 24 // §7.1, §7.2
const mapBytes = 36 // §11.1
const longestBytes = 1100 // §7
const protocols: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17 } // §11.1, by IANA's protocol numbers

/** RFC 6887 §7.4. The other codes only matter as errors. */
export const result = {
  success: 0,
  unsupportedVersion: 1,
  noResources: 8,
  cannotProvideExternal: 11,
  addressMismatch: 12
} as const

export interface MappingRequest {
  readonly protocol: Protocol
  readonly internalPort: number
  /** 12 bytes, the same for every request about one mapping (§11.2). */
  readonly nonce: Uint8Array
  /** 0 leaves the choice to the router, and goes with lifetime 0. */
  readonly suggestedExternalPort: number
  readonly suggestedExternalAddress: string
  /** 0 deletes. */
  readonly lifetimeSeconds: number
}

/** What all answers carry (§7.2). */
export interface Reply {
  /** 0, or an error of §7.4. */
  readonly result: number
  /** Of the mapping, or of the error. */
  readonly lifetimeSeconds: number
  readonly epochSeconds: number
}

/** An error may be too short to name an address or port: they are `::` and 0 then. */
export interface MappingReply extends Reply {
  readonly externalAddress: string
  readonly externalPort: number
}

/** RFC 6887 §14.1: asks for the epoch, and whether a PCP server is there at all. Changes nothing. */
export const encodeAnnounceRequest = (clientAddress: string): Uint8Array =>
  encodeHeader(headerBytes, announce, 0, clientAddress)

/** RFC 6887 §11.1 (and §15.1 for deleting): asks for a mapping. `clientAddress` must be the one it is sent from. */
export function encodeMappingRequest(request: MappingRequest, clientAddress: string): Uint8Array {
  const bytes = encodeHeader(headerBytes + mapBytes, map, request.lifetimeSeconds, clientAddress)
  const view = new DataView(bytes.buffer)
  bytes.set(request.nonce, 24)
  view.setUint8(36, protocols[request.protocol])
  view.setUint16(40, request.internalPort)
  view.setUint16(42, request.suggestedExternalPort)
  bytes.set(encodeAddress(request.suggestedExternalAddress), 44)
  return bytes
}

/** Reads the answer to {@link encodeAnnounceRequest}. Undefined for a datagram that answers something else. Throws
 * `UNSUPPORTED_VERSION` or `MALFORMED_REPLY`. */
export function decodeAnnounceReply(bytes: Uint8Array): Reply | undefined {
  const view = decodeHeader(bytes, announce)
  return view && commonOf(view)
}

/** Reads the answer to {@link encodeMappingRequest}. Undefined for a datagram that answers something else. Throws
 * `UNSUPPORTED_VERSION` or `MALFORMED_REPLY`. */
export function decodeMappingReply(
  bytes: Uint8Array,
  request: Pick<MappingRequest, 'protocol' | 'internalPort' | 'nonce'>
): MappingReply | undefined {
  const view = decodeHeader(bytes, map)
  if (view === undefined) return undefined
  const common = commonOf(view)
  if (bytes.length < headerBytes + mapBytes) {
    // Errors should repeat the request (§8.2). Not all do, and the request has a socket of its own.
    if (common.result !== result.success) return { ...common, externalAddress: '::', externalPort: 0 }
    throw malformed(`${bytes.length} bytes where ${headerBytes + mapBytes} are due`)
  }
  // §11.4: whatever differs in these answers another request.
  const answersIt =
    request.nonce.every((byte, index) => bytes[24 + index] === byte) &&
    view.getUint8(36) === protocols[request.protocol] &&
    view.getUint16(40) === request.internalPort
  if (!answersIt) return undefined
  return { ...common, externalPort: view.getUint16(42), externalAddress: decodeAddress(bytes.subarray(44, 60)) }
}

/** §7.1. */
function encodeHeader(length: number, opcode: number, lifetimeSeconds: number, clientAddress: string): Uint8Array {
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, version)
  view.setUint8(1, opcode)
  view.setUint32(4, lifetimeSeconds)
  bytes.set(encodeAddress(clientAddress), 8)
  return bytes
}

/** The checks of §8.3, in an order that lets NAT-PMP's answer through, which is shorter than any of PCP. */
function decodeHeader(bytes: Uint8Array, opcode: number): DataView | undefined {
  if (bytes.length < 4) throw malformed(`${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const its = view.getUint8(0)
  const isResponse = view.getUint8(1) >= response
  // §9: a server of another version names its own. NAT-PMP, version 0, has the result in the same place and does not
  // count that answer as one to an opcode: no R bit (RFC 6886 §3.5).
  const refusesVersion = view.getUint8(3) === result.unsupportedVersion && bytes.length <= longestBytes
  if (its !== version && refusesVersion && (isResponse || its === 0)) throw otherVersion(its)
  if (!isResponse) throw malformed('it is a request')
  if (its !== version) throw malformed(`version ${its}`)
  if (bytes.length < headerBytes || bytes.length > longestBytes || bytes.length % 4 !== 0)
    throw malformed(`${bytes.length} bytes`)
  return view.getUint8(1) === response + opcode ? view : undefined
}

/** §7.2. */
const commonOf = (view: DataView): Reply => ({
  result: view.getUint8(3),
  lifetimeSeconds: view.getUint32(4),
  epochSeconds: view.getUint32(8)
})

const malformed = (what: string): NatError => natError('MALFORMED_REPLY', `not a PCP answer: ${what}`)

const otherVersion = (its: number): NatError =>
  natError(
    'UNSUPPORTED_VERSION',
    its === 0 ? 'the router speaks NAT-PMP, not PCP' : `the router speaks version ${its} of PCP, not 2`
  )
