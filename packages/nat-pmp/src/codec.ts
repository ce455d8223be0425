import { type ErrorCode, type NatError, natError, type Protocol } from '@postern/interface'

/** The UDP port of the gateway to which requests are sent (RFC 6886 §3.2). */
export const natPmpPort = 5351
/** The UDP port of the client to which announcements are sent (RFC 6886 §3.2.1). */
export const announcementPort = 5350

const version = 0 // §3.1
const externalAddress = 0 // §3.2
const opcodes: Readonly<Record<Protocol, number>> = { udp: 1, tcp: 2 } // §3.3
const response = 128 // §3.1: added to the opcode of the request

/** The result codes (RFC 6886 §3.5). */
const resultCodes: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  1: ['UNSUPPORTED_VERSION', 'the router does not speak NAT-PMP version 0'],
  2: ['NOT_AUTHORIZED', 'the router has port mapping turned off for this host'],
  3: ['NETWORK_FAILURE', 'the router has no external address to map'],
  4: ['OUT_OF_RESOURCES', 'the router has no resources for another mapping'],
  5: ['UNSUPPORTED', 'the router does not support this NAT-PMP request']
}

/** The fields of a mapping request (RFC 6886 §3.3). */
export interface MappingRequest {
  readonly protocol: Protocol
  readonly internalPort: number
  /** 0 lets the router choose. A deletion also has 0. */
  readonly suggestedExternalPort: number
  /** 0 deletes the mapping. */
  readonly lifetimeSeconds: number
}

/** The answer to a request for the external address (RFC 6886 §3.2). */
export interface ExternalAddressReply {
  readonly epochSeconds: number
  readonly address: string
}

/** The answer to a mapping request (RFC 6886 §3.3). */
export interface MappingReply {
  readonly epochSeconds: number
  readonly externalPort: number
  readonly lifetimeSeconds: number
}

/** Encodes the request for the external address (RFC 6886 §3.2). */
export const encodeExternalAddressRequest = (): Uint8Array => Uint8Array.of(version, externalAddress)

/** Encodes a mapping request (RFC 6886 §3.3, and §3.4 for deletions). */
export function encodeMappingRequest(request: MappingRequest): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, version)
  view.setUint8(1, opcodes[request.protocol])
  view.setUint16(4, request.internalPort)
  view.setUint16(6, request.suggestedExternalPort)
  view.setUint32(8, request.lifetimeSeconds)
  return bytes
}

/** Decodes the answer to {@link encodeExternalAddressRequest}. Returns undefined for an answer to another request.
 * Throws the refusal of the router, or `MALFORMED_REPLY`. */
export function decodeExternalAddressReply(bytes: Uint8Array): ExternalAddressReply | undefined {
  const view = decodeHeader(bytes, externalAddress, 12)
  if (view === undefined) return undefined
  return { epochSeconds: view.getUint32(4), address: bytes.subarray(8, 12).join('.') }
}

/** Decodes the answer to {@link encodeMappingRequest}. Returns undefined for an answer to another request. Throws the
 * refusal of the router, or `MALFORMED_REPLY`. */
export function decodeMappingReply(
  bytes: Uint8Array,
  request: Pick<MappingRequest, 'protocol' | 'internalPort'>
): MappingReply | undefined {
  const view = decodeHeader(bytes, opcodes[request.protocol], 16)
  if (view === undefined) return undefined
  const internalPort = view.getUint16(8)
  const externalPort = view.getUint16(10)
  // The gateways of some VPN providers send 0 or the external port in place of the internal port.
  const isOurs = internalPort === request.internalPort || internalPort === 0 || internalPort === externalPort
  return isOurs ? { epochSeconds: view.getUint32(4), externalPort, lifetimeSeconds: view.getUint32(12) } : undefined
}

/** Checks the header of an answer (§3.2, §3.3, §3.5). Returns undefined for another opcode. An error may consist of the
 * header only. */
function decodeHeader(bytes: Uint8Array, opcode: number, length: number): DataView | undefined {
  if (bytes.length < 8 || bytes.length > 1100) throw malformed(`${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint8(1) < response) throw malformed('it is a request')
  // RFC 6887 §9: a server that supports only PCP answers in PCP.
  if (view.getUint8(0) !== version) throw refusal(1)
  if (view.getUint8(1) !== response + opcode) return undefined
  const result = view.getUint16(2)
  if (result !== 0) throw refusal(result)
  if (bytes.length < length) throw malformed(`${bytes.length} bytes instead of ${length}`)
  return view
}

const malformed = (what: string): NatError => natError('MALFORMED_REPLY', `not a NAT-PMP answer: ${what}`)

function refusal(result: number): NatError {
  const [code, message] = resultCodes[result] ?? ['GATEWAY_FAULT', `the router answers with unknown result ${result}`]
  return natError(code, message)
}
