import { type NatError, natError, type Protocol } from '@postern/interface'
import { decodeAddress, encodeAddress } from './address-bytes.js'

/** The UDP port of the server to which requests are sent (RFC 6887 §19). */
export const pcpPort = 5351
/** The UDP port of the client to which announcements are sent (RFC 6887 §19). */
export const announcementPort = 5350

const version = 2 // §7.1
const announce = 0 // §14.1
const map = 1 // §11
const response = 128 // §7.2: the R bit
const headerBytes = 24 // §7.1, §7.2
const mapBytes = 36 // §11.1
const maxBytes = 1100 // §7
const protocols: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17 } // §11.1, by IANA's protocol numbers

/** The result codes that the code compares (RFC 6887 §7.4). The others only become errors. */
export const result = {
  success: 0,
  unsupportedVersion: 1,
  noResources: 8,
  cannotProvideExternal: 11,
  addressMismatch: 12
} as const

/** The fields of a MAP request (RFC 6887 §11.1). */
export interface MappingRequest {
  readonly protocol: Protocol
  readonly internalPort: number
  /** 12 bytes, the same for every request about one mapping (§11.2). */
  readonly nonce: Uint8Array
  /** 0 lets the router choose. A deletion also has 0. */
  readonly suggestedExternalPort: number
  readonly suggestedExternalAddress: string
  /** 0 deletes the mapping. */
  readonly lifetimeSeconds: number
}

/** The fields of every answer (§7.2). */
export interface Reply {
  /** 0, or an error code of §7.4. */
  readonly result: number
  /** The lifetime of the mapping, or of the error. */
  readonly lifetimeSeconds: number
  readonly epochSeconds: number
}

/** An answer to a MAP request. If an error is too short to contain an address and a port, these are `::` and 0. */
export interface MappingReply extends Reply {
  readonly externalAddress: string
  readonly externalPort: number
}

/** Encodes an ANNOUNCE request (RFC 6887 §14.1), which asks whether there is a PCP server, and for its epoch. It does
 * not change the state of the server. */
export const encodeAnnounceRequest = (clientAddress: string): Uint8Array =>
  encodeHeader(headerBytes, announce, 0, clientAddress)

/** Encodes a MAP request (RFC 6887 §11.1, and §15.1 for deletions). `clientAddress` must be the address from which it
 * is sent. */
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

/** Decodes the answer to {@link encodeAnnounceRequest}. Returns undefined for an answer to another request. Throws
 * `UNSUPPORTED_VERSION` or `MALFORMED_REPLY`. */
export function decodeAnnounceReply(bytes: Uint8Array): Reply | undefined {
  const view = decodeHeader(bytes, announce)
  return view && commonOf(view)
}

/** Decodes the answer to {@link encodeMappingRequest}. Returns undefined for an answer to another request. Throws
 * `UNSUPPORTED_VERSION` or `MALFORMED_REPLY`. */
export function decodeMappingReply(
  bytes: Uint8Array,
  request: Pick<MappingRequest, 'protocol' | 'internalPort' | 'nonce'>
): MappingReply | undefined {
  const view = decodeHeader(bytes, map)
  if (view === undefined) return undefined
  const common = commonOf(view)
  if (bytes.length < headerBytes + mapBytes) {
    // §8.2: an error should repeat the request. Some servers do not; the answer still matches, because each request has
    // its own socket.
    if (common.result !== result.success) return { ...common, externalAddress: '::', externalPort: 0 }
    throw malformed(`${bytes.length} bytes instead of ${headerBytes + mapBytes}`)
  }
  // §11.4: an answer that differs in one of these fields belongs to another request.
  const answersIt =
    request.nonce.every((byte, index) => bytes[24 + index] === byte) &&
    view.getUint8(36) === protocols[request.protocol] &&
    view.getUint16(40) === request.internalPort
  if (!answersIt) return undefined
  return { ...common, externalPort: view.getUint16(42), externalAddress: decodeAddress(bytes.subarray(44, 60)) }
}

/** Encodes the request header (§7.1). */
function encodeHeader(length: number, opcode: number, lifetimeSeconds: number, clientAddress: string): Uint8Array {
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, version)
  view.setUint8(1, opcode)
  view.setUint32(4, lifetimeSeconds)
  bytes.set(encodeAddress(clientAddress), 8)
  return bytes
}

/** Checks the response header (§8.3), in an order that recognises an answer of NAT-PMP, which is shorter than any of
 * PCP. Returns undefined for another opcode. */
function decodeHeader(bytes: Uint8Array, opcode: number): DataView | undefined {
  if (bytes.length < 4) throw malformed(`${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const its = view.getUint8(0)
  const isResponse = view.getUint8(1) >= response
  // §9: a server of another version answers with its own version. NAT-PMP, version 0, has the result code in the same
  // place, and does not set the R bit in that answer (RFC 6886 §3.5).
  const refusesVersion = view.getUint8(3) === result.unsupportedVersion && bytes.length <= maxBytes
  if (its !== version && refusesVersion && (isResponse || its === 0)) throw otherVersion(its)
  if (!isResponse) throw malformed('it is a request')
  if (its !== version) throw malformed(`version ${its}`)
  if (bytes.length < headerBytes || bytes.length > maxBytes || bytes.length % 4 !== 0)
    throw malformed(`${bytes.length} bytes`)
  return view.getUint8(1) === response + opcode ? view : undefined
}

/** Reads the fields of every answer (§7.2). */
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
