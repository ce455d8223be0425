import { familyOf, type Protocol } from '@postern/interface'
import { bytesOfAddress } from './address-bytes.js'
import { countOperation } from './counters.js'
import { type Engine, grant, longestSeconds, refusesMapping, remove } from './engine.js'

interface Sender {
  readonly address: string
  readonly port: number
}

/** RFC 6886 §3.5. */
const results = { notAuthorized: 2, networkFailure: 3, outOfResources: 4, unsupportedOpcode: 5 } as const

/** Answers one NAT-PMP request (RFC 6886 §3). Returns undefined if the RFC requires silence. */
export function answerNatPmp(engine: Engine, request: Uint8Array, from: Sender): Uint8Array | undefined {
  const counters = engine.counters['nat-pmp']
  const opcode = request[1]
  // A response, or a datagram that is too short.
  if (opcode === undefined || opcode >= 128) return undefined
  if (request[0] !== 0) return unsupportedVersion(engine)

  if (opcode === 0) {
    countOperation(counters, 'external address')
    if (request.length !== 2) engine.violation(`nat-pmp: external address request of ${request.length} bytes, not 2`)
    const code = plannedResult(engine, opcode)
    if (code !== 0) counters.errors += 1
    return encodeExternalAddress(engine, code)
  }
  if (opcode === 1 || opcode === 2) return map(engine, request, opcode === 1 ? 'udp' : 'tcp', from)

  counters.unknown += 1
  counters.errors += 1
  engine.violation(`nat-pmp: unknown opcode ${opcode}`)
  // §3.5: the answer repeats the entire request.
  const reply = request.slice()
  if (reply.length < 4) return undefined
  reply[1] = 128 + opcode
  view(reply).setUint16(2, results.unsupportedOpcode)
  return reply
}

/** Returns the answer to any other version: opcode 0, without the response bit (RFC 6886 §3.5). */
export function unsupportedVersion(engine: Engine): Uint8Array {
  const reply = new Uint8Array(8)
  view(reply).setUint16(2, 1)
  view(reply).setUint32(4, engine.epochSeconds())
  return reply
}

/** Encodes the answer to an external address request, which is also the announcement (RFC 6886 §3.2 and §3.2.1). */
export function encodeExternalAddress(engine: Engine, code = 0): Uint8Array {
  const reply = new Uint8Array(12)
  reply[1] = 128
  view(reply).setUint16(2, code)
  view(reply).setUint32(4, engine.epochSeconds())
  const address = engine.faults.strike(
    'grant',
    'nat-pmp',
    (fault) => fault.externalAddress !== undefined
  )?.externalAddress
  const external = address ?? engine.externalAddress
  if (code === 0 && familyOf(external) === 4) reply.set(bytesOfAddress(external).subarray(12), 8)
  return reply
}

function map(engine: Engine, request: Uint8Array, protocol: Protocol, from: Sender): Uint8Array | undefined {
  const counters = engine.counters['nat-pmp']
  countOperation(counters, `map ${protocol}`)
  if (request.length < 12) {
    engine.violation(`nat-pmp: mapping request of ${request.length} bytes, not 12`)
    return undefined
  }
  if (request.length > 12) engine.violation(`nat-pmp: mapping request of ${request.length} bytes, not 12`)
  const fields = view(request)
  const internalPort = fields.getUint16(4)
  const suggestedPort = fields.getUint16(6)
  const lifetimeSeconds = fields.getUint32(8)
  if (fields.getUint16(2) !== 0) engine.violation('nat-pmp: the reserved field is not zero')

  const answer = (code: number, externalPort: number, grantedSeconds: number): Uint8Array => {
    if (code !== 0) counters.errors += 1
    const reply = new Uint8Array(16)
    const out = view(reply)
    reply[1] = 128 + (protocol === 'udp' ? 1 : 2)
    out.setUint16(2, code)
    out.setUint32(4, engine.epochSeconds())
    out.setUint16(8, internalPort)
    out.setUint16(10, externalPort)
    out.setUint32(12, grantedSeconds)
    return reply
  }

  if (lifetimeSeconds > longestSeconds)
    engine.violation(`nat-pmp: a lifetime of ${lifetimeSeconds} s looks like milliseconds`)
  const planned = plannedResult(engine, protocol === 'udp' ? 1 : 2)
  if (planned !== 0) return answer(planned, 0, 0)

  if (lifetimeSeconds === 0) {
    if (suggestedPort !== 0)
      engine.violation(`nat-pmp: delete with external port ${suggestedPort}; RFC 6886 §3.4 requires 0`)
    const doomed = engine.table
      .list()
      .filter(
        (each) =>
          each.family === 4 &&
          each.protocol === protocol &&
          each.internalAddress === from.address &&
          (internalPort === 0 || each.internalPort === internalPort)
      )
    for (const mapping of doomed) remove(engine, mapping, 'nat-pmp')
    return answer(0, 0, 0)
  }

  if (internalPort === 0) {
    engine.violation('nat-pmp: a mapping for internal port 0')
    return answer(results.notAuthorized, 0, 0)
  }
  if (suggestedPort === 0 && engine.faults.strike('no-any-port', 'nat-pmp') !== undefined)
    return answer(results.notAuthorized, 0, 0)
  const refused = engine.faults.strike('refuses', 'nat-pmp', refusesMapping(suggestedPort, lifetimeSeconds))
  if (refused !== undefined) return answer(refused.code, 0, 0)
  const granted = grant(
    engine,
    {
      via: 'nat-pmp',
      family: 4,
      protocol,
      internalAddress: from.address,
      internalPort,
      suggestedPort,
      exactPort: false,
      lifetimeSeconds,
      // §3.3: the lifetime must not exceed the requested one.
      minLifetimeSeconds: 0,
      nonce: null,
      clientPort: from.port
    },
    'nat-pmp'
  )
  if (typeof granted === 'string') return answer(results.outOfResources, 0, 0)
  return answer(0, granted.externalPort, granted.lifetimeSeconds)
}

/** Returns the result code that a fault sets; 0 without such a fault. */
function plannedResult(engine: Engine, opcode: number): number {
  const fault = engine.faults.strike('result', 'nat-pmp', (each) => each.opcode === undefined || each.opcode === opcode)
  if (fault !== undefined) return fault.code
  return engine.faults.has('reserved-external-address', 'nat-pmp') ? results.networkFailure : 0
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
