import { familyOf, type Protocol } from '@postern/interface'
import { addressOfBytes, bytesOfAddress, sameBytes } from './address-bytes.js'
import { countOperation } from './counters.js'
import { type Engine, grant, longestSeconds, name, refusesMapping, remove } from './engine.js'
import { readOptions } from './pcp-options.js'

interface Sender {
  readonly address: string
  readonly port: number
}

/** RFC 6887 §7.4. */
const pcpResults = {
  success: 0,
  unsupportedVersion: 1,
  notAuthorized: 2,
  malformedRequest: 3,
  unsupportedOpcode: 4,
  unsupportedOption: 5,
  malformedOption: 6,
  networkFailure: 7,
  noResources: 8,
  unsupportedProtocol: 9,
  userExceededQuota: 10,
  cannotProvideExternal: 11,
  addressMismatch: 12,
  excessiveRemotePeers: 13
} as const

/** §7.4: the errors that are temporary. The others last until the configuration changes. */
const shortErrors: ReadonlySet<number> = new Set([
  pcpResults.networkFailure,
  pcpResults.noResources,
  pcpResults.userExceededQuota,
  pcpResults.cannotProvideExternal
])
const shortSeconds = 30
const longSeconds = 30 * 60

const headerBytes = 24
const mapBytes = 36

/** Answers one PCP request (RFC 6887 §8.2 and §11). Returns undefined if the RFC requires silence. */
export function answerPcp(engine: Engine, request: Uint8Array, from: Sender): Uint8Array | undefined {
  const counters = engine.counters.pcp
  const version = request[0]
  const opcode = request[1]
  // The R bit marks a response.
  if (version === undefined || opcode === undefined || opcode >= 128) return undefined
  const fail = (code: number): Uint8Array => {
    counters.errors += 1
    return encodeError(engine, request, code, errorSeconds(code))
  }
  const malformed = (why: string): Uint8Array => {
    engine.violation(`pcp: ${why}`)
    return fail(pcpResults.malformedRequest)
  }

  if (version !== 2) {
    counters.unknown += 1
    return fail(pcpResults.unsupportedVersion)
  }
  countOperation(counters, opcodeNames.get(opcode) ?? `opcode ${opcode}`)
  if (request.length < headerBytes || request.length > 1100 || request.length % 4 !== 0)
    return malformed(`request of ${request.length} bytes`)
  const planned = engine.faults.strike('result', 'pcp', (each) => each.opcode === undefined || each.opcode === opcode)
  if (planned !== undefined) {
    if (planned.code !== 0) counters.errors += 1
    return encodeError(engine, request, planned.code, planned.lifetimeSeconds ?? errorSeconds(planned.code))
  }
  if (!opcodeNames.has(opcode) || opcode === 2) {
    counters.unknown += 1
    engine.violation(`pcp: unknown opcode ${opcode}`)
    return fail(pcpResults.unsupportedOpcode)
  }
  // §8.1: a client address that differs from the source address shows a NAT in between.
  if (!sameBytes(request.subarray(8, 24), bytesOfAddress(from.address))) {
    engine.violation(`pcp: client address ${addressOfBytes(request.subarray(8, 24))} in a request from ${from.address}`)
    return fail(pcpResults.addressMismatch)
  }
  if (opcode === 0) return encodeHeader(engine, new Uint8Array(headerBytes), 0, pcpResults.success, 0)
  return map(engine, request, from, fail, malformed)
}

/** Encodes the announcement of a loss of state (RFC 6887 §14.1.2): an unsolicited response. */
export const encodeAnnouncement = (engine: Engine): Uint8Array =>
  encodeHeader(engine, new Uint8Array(headerBytes), 0, pcpResults.success, 0)

function map(
  engine: Engine,
  request: Uint8Array,
  from: Sender,
  fail: (code: number) => Uint8Array,
  malformed: (why: string) => Uint8Array
): Uint8Array {
  if (request.length < headerBytes + mapBytes) return malformed(`MAP request of ${request.length} bytes`)
  const fields = new DataView(request.buffer, request.byteOffset, request.byteLength)
  const lifetimeSeconds = fields.getUint32(4)
  const nonce = request.slice(24, 36)
  const number = fields.getUint8(36)
  const internalPort = fields.getUint16(40)
  const suggestedPort = fields.getUint16(42)
  const suggestedAddress = request.subarray(44, 60)
  const family = familyOf(from.address) ?? 4

  if (fields.getUint16(2) !== 0) engine.violation('pcp: the reserved field of the header is not zero')
  if (number === 0 && internalPort !== 0) return malformed('MAP with an internal port and no protocol')
  const protocol = protocols.get(number)
  // This gateway does not support mappings of all ports or all protocols.
  if (protocol === undefined || internalPort === 0) return fail(pcpResults.unsupportedProtocol)
  const options = readOptions(request.subarray(headerBytes + mapBytes))
  if (options === 'malformed') return fail(pcpResults.malformedOption)
  if (options === 'unsupported') return fail(pcpResults.unsupportedOption)
  if (lifetimeSeconds > longestSeconds)
    engine.violation(`pcp: a lifetime of ${lifetimeSeconds} s looks like milliseconds`)

  const answer = (externalPort: number, externalAddress: Uint8Array, grantedSeconds: number, code = 0): Uint8Array => {
    if (code !== 0) engine.counters.pcp.errors += 1
    const reply = new Uint8Array(headerBytes + mapBytes + options.processed.length)
    reply.set(request.subarray(24, 42), 24)
    new DataView(reply.buffer).setUint16(42, externalPort)
    reply.set(externalAddress, 44)
    reply.set(options.processed, 60)
    return encodeHeader(engine, reply, 1, code, grantedSeconds)
  }
  if (family === 4 && engine.faults.has('reserved-external-address', 'pcp'))
    return answer(suggestedPort, bytesOfAddress(engine.externalAddress), shortSeconds, pcpResults.noResources)

  const existing = engine.table.findByInternal(family, protocol, from.address, internalPort)
  // §11.3: only the client with the nonce of a mapping may change or delete it.
  if (existing !== undefined && existing.nonce !== null && !sameBytes(existing.nonce, nonce)) {
    engine.violation(
      `pcp: ${lifetimeSeconds === 0 ? 'delete' : 'MAP'} of ${name(existing)} with another nonce than its own`
    )
    return fail(pcpResults.notAuthorized)
  }
  if (lifetimeSeconds === 0) {
    // §15.1: the deletion of a missing mapping succeeds.
    if (existing !== undefined) remove(engine, existing, 'pcp')
    return answer(suggestedPort, suggestedAddress, 0)
  }

  if (suggestedPort === 0 && engine.faults.strike('no-any-port', 'pcp') !== undefined)
    return fail(pcpResults.cannotProvideExternal)
  const refused = engine.faults.strike('refuses', 'pcp', refusesMapping(suggestedPort, lifetimeSeconds))
  if (refused !== undefined) return fail(refused.code)
  const wantedAddress = addressOfBytes(suggestedAddress)
  const wantsOtherAddress =
    family === 4 && !['0.0.0.0', '::'].includes(wantedAddress) && wantedAddress !== engine.externalAddress
  if (options.preferFailure && wantsOtherAddress) return fail(pcpResults.cannotProvideExternal)
  const granted = grant(
    engine,
    {
      via: 'pcp',
      family,
      protocol,
      internalAddress: from.address,
      internalPort,
      suggestedPort,
      exactPort: options.preferFailure,
      lifetimeSeconds,
      minLifetimeSeconds: engine.limits.minLifetimeSeconds,
      nonce,
      clientPort: from.port
    },
    'pcp'
  )
  if (granted === 'no-port')
    return fail(options.preferFailure ? pcpResults.cannotProvideExternal : pcpResults.noResources)
  if (granted === 'no-room') return fail(pcpResults.noResources)
  if (granted === 'quota') return fail(pcpResults.userExceededQuota)
  return answer(granted.externalPort, bytesOfAddress(granted.externalAddress), granted.lifetimeSeconds)
}

function encodeHeader(engine: Engine, reply: Uint8Array, opcode: number, code: number, seconds: number): Uint8Array {
  const fields = new DataView(reply.buffer, reply.byteOffset, reply.byteLength)
  reply[0] = 2
  reply[1] = 128 + opcode
  reply[2] = 0
  reply[3] = code
  fields.setUint32(4, seconds)
  fields.setUint32(8, engine.epochSeconds())
  reply.fill(0, 12, 24)
  return reply
}

/** Encodes an error, which repeats at most 1,100 bytes of the request, padded to a multiple of 4 (§8.2). */
function encodeError(engine: Engine, request: Uint8Array, code: number, seconds: number): Uint8Array {
  const repeated = request.subarray(0, 1100)
  const reply = new Uint8Array(Math.max(headerBytes, Math.ceil(repeated.length / 4) * 4))
  reply.set(repeated)
  return encodeHeader(engine, reply, (request[1] ?? 0) & 127, code, seconds)
}

const errorSeconds = (code: number): number => (code === 0 ? 0 : shortErrors.has(code) ? shortSeconds : longSeconds)

/** RFC 6887 §19.1. PEER is known but not supported. */
const opcodeNames: ReadonlyMap<number, string> = new Map([
  [0, 'ANNOUNCE'],
  [1, 'MAP'],
  [2, 'PEER']
])

/** IANA protocol numbers. */
const protocols: ReadonlyMap<number, Protocol> = new Map([
  [6, 'tcp'],
  [17, 'udp']
])
