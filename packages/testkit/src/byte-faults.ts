import type { FaultList, ReplyContext, Service } from './faults.js'

/** Applies the faults to a reply. Returns the datagrams to send in its place: none, one or several. */
export function spoil(
  faults: FaultList,
  reply: Uint8Array,
  context: ReplyContext,
  random: () => number
): readonly Uint8Array[] {
  const { service } = context
  if (faults.active.length === 0) return [reply]
  let bytes = reply
  const wrong = faults.strike('wrong-field', service)
  if (wrong !== undefined) bytes = withWrongField(bytes, service, wrong.field, wrong.value)
  const epoch = faults.strike('epoch', service)
  if (epoch !== undefined) bytes = withEpoch(bytes, service, epoch.seconds)
  const instead = faults.strike('bytes', service)
  if (instead !== undefined) bytes = replacement(instead.bytes, service, random)
  const cut = faults.strike('truncate', service)
  if (cut !== undefined) bytes = bytes.slice(0, cut.length)
  const mangled = faults.strike('mangle', service)?.mangle(bytes, context)
  return mangled ?? [bytes]
}

const datagram = new Uint8Array(1104).fill(0x80)
/** Created once, when it is first needed. */
let body: Uint8Array | undefined
const tenMegabytes = (): Uint8Array => new Uint8Array(10_000_000).fill(0x20)

function replacement(
  kind: 'empty' | 'one-byte' | 'oversized' | 'random' | Uint8Array,
  service: Service,
  random: () => number
): Uint8Array {
  if (kind instanceof Uint8Array) return kind
  if (kind === 'empty') return new Uint8Array(0)
  if (kind === 'one-byte') return Uint8Array.of(2)
  if (kind === 'oversized')
    return service === 'description' || service === 'control' ? (body ??= tenMegabytes()) : datagram
  return Uint8Array.from({ length: Math.floor(random() * 1100) }, () => Math.floor(random() * 256))
}

/** RFC 6886 §3.2 and §3.3; RFC 6887 §7.2 and §11.1. */
const fieldsOf = {
  'nat-pmp': { version: [0, 1], opcode: [1, 2], 'internal-port': [8, 10], epoch: 4 },
  pcp: { version: [0, 1], opcode: [1, 2], nonce: [24, 36], protocol: [36, 37], 'internal-port': [40, 42], epoch: 8 }
} as const

function withWrongField(reply: Uint8Array, service: Service, field: string, value?: number): Uint8Array {
  const bytes = reply.slice()
  const flip = (index: number, mask: number): void => {
    const byte = bytes[index]
    if (byte !== undefined) bytes[index] = byte ^ mask
  }
  if (service !== 'nat-pmp' && service !== 'pcp') return bytes
  // The answer to an external address request has no port.
  if (service === 'nat-pmp' && field === 'internal-port' && bytes.length < 16) return bytes
  if (field === 'response-bit') flip(1, 0x80)
  // Keeps the response bit, which has its own fault.
  else if (field === 'opcode') flip(1, 0x7f)
  // In NAT-PMP the opcode is the protocol: 1 for UDP and 2 for TCP.
  else if (field === 'protocol' && service === 'nat-pmp') flip(1, 0x03)
  else {
    const range: readonly [number, number] | undefined = Object.entries(fieldsOf[service])
      .filter((entry): entry is [string, readonly [number, number]] => typeof entry[1] !== 'number')
      .find(([name]) => name === field)?.[1]
    const [first = 0, end = 0] = range ?? []
    for (let index = first; index < end; index += 1) {
      if (value === undefined) flip(index, 0xff)
      else if (index < bytes.length) bytes[index] = (value >>> (8 * (end - 1 - index))) & 0xff
    }
  }
  return bytes
}

function withEpoch(reply: Uint8Array, service: Service, seconds: number): Uint8Array {
  if (service !== 'nat-pmp' && service !== 'pcp') return reply
  const offset = fieldsOf[service].epoch
  if (reply.length < offset + 4) return reply
  const bytes = reply.slice()
  new DataView(bytes.buffer).setUint32(offset, seconds)
  return bytes
}
