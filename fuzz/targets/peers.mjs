// What peers, witnesses, relays, STUN servers and bore servers send.
import { multiaddr } from '@multiformats/multiaddr'
import { familyOf } from '@postern/interface'
import { decodeDialResponseV1 } from '../../packages/autonat/src/wire/v1.ts'
import { decodeDialBack, decodeDialBackResponse, decodeMessage } from '../../packages/autonat/src/wire/v2.ts'
import { decodeServerMessage, takeFrame } from '../../packages/bore/src/codec.ts'
import { decodeAnswer, decodeWish } from '../../packages/cli/src/commands/tunnel/protocol.ts'
import { createRecordReader, recordsOf } from '../../packages/cli/src/commands/tunnel/records.ts'
import { decodeMessage as decodeHolePunch } from '../../packages/hole-punch/src/dcutr/codec.ts'
import { decodeLength } from '../../packages/libp2p-utils/src/messages.ts'
import { routeOf } from '../../packages/libp2p-utils/src/multiaddr.ts'
import { readFields } from '../../packages/libp2p-utils/src/protobuf.ts'
import { decodeBindingIndication, isStunMessage } from '../../packages/net/dist/index.js'
import { acceptedAddresses } from '../../packages/relay/src/circuit/told-addresses.ts'
import { decodeReserveReply } from '../../packages/relay/src/wire/hop.ts'
import { decodeBinding } from '../../packages/stun/src/codec.ts'
import { decodeRefusal, decodeReply, decodeRequest } from '../../packages/witness/src/wire/messages.ts'
import { bytesOf } from '../corpus/index.mjs'
import { refusals } from '../decoders.mjs'
import { isBytes, isIn, isIpText, isOptional, isUint, isUint64 } from './shapes.mjs'

const relay = '12D3KooWKAQ4Yy1aBCK2bJoLiKKjuVLHwuWsrUNiGkeSihx4q9j1'
const largestMessage = 16_384
const isWitnessPlace = ({ address, port }) => isIpText(address) && isUint(port, 16) && port > 0
const isStunAddress = (value) => value === undefined || (isIpText(value.address) && isUint(value.port, 16))

export const peers = [
  {
    name: 'message-length',
    corpus: bytesOf('lengths'),
    run: (bytes) => decodeLength(bytes, largestMessage),
    accepts: (value) => isUint(value, 32) && value <= largestMessage,
    // A RangeError asks for more bytes: by contract, and only if there are fewer than three.
    refuses: (error, bytes) => refusals.network(error) || (error instanceof RangeError && (bytes?.length ?? 0) < 3)
  },
  {
    name: 'protobuf',
    corpus: bytesOf('protobuf'),
    run(bytes) {
      const read = []
      readFields(bytes, {
        1: { type: 0, read: (value) => read.push(value.uint32()) },
        2: { type: 2, read: (value) => read.push(value.bytes()) },
        3: { type: 1, read: (value) => read.push(value.fixed64()) },
        4: { type: 0, read: (value) => read.push(value.uint64()) }
      })
      return read
    },
    accepts: (read) => read.every((each) => isUint(each, 32) || isBytes(each) || isUint64(each))
  },
  {
    name: 'autonat-message',
    corpus: bytesOf('autonat'),
    run: (bytes) => decodeMessage(bytes),
    accepts(value) {
      if (value.kind === 'dial-request') return isUint64(value.nonce) && value.addresses.every(isBytes)
      if (value.kind === 'dial-data-request') return isUint(value.index, 32) && isUint64(value.bytes)
      if (value.kind === 'dial-data-response') return isBytes(value.data)
      return [value.status, value.index, value.dialStatus].every((each) => isUint(each, 32))
    }
  },
  {
    name: 'autonat-dial-back',
    corpus: bytesOf('autonat-dial-back'),
    run: (bytes) => decodeDialBack(bytes),
    accepts: isUint64
  },
  {
    name: 'autonat-dial-back-response',
    corpus: bytesOf('autonat-dial-back'),
    run: (bytes) => decodeDialBackResponse(bytes),
    accepts: (value) => isUint(value, 32)
  },
  {
    name: 'autonat-v1',
    corpus: bytesOf('autonat-v1'),
    run: (bytes) => decodeDialResponseV1(bytes),
    accepts: ({ status, text, address }) => isUint(status, 32) && typeof text === 'string' && isBytes(address)
  },
  {
    name: 'autonat-route',
    corpus: bytesOf('multiaddrs'),
    run: (bytes) => routeOf(bytes),
    accepts: (value) =>
      value === undefined ||
      (familyOf(value.host) === value.family &&
        isUint(value.port, 16) &&
        !/sni|http|unix|circuit/.test(value.transport)),
    refuses: refusals.never
  },
  {
    name: 'relay-reserve',
    corpus: bytesOf('relay'),
    run: (bytes) => decodeReserveReply(bytes),
    accepts: ({ status, expireSeconds, limit }) =>
      Number.isInteger(status) && isOptional(expireSeconds, 'number') && isOptional(limit, 'object')
  },
  {
    name: 'relay-told-addresses',
    corpus: bytesOf('multiaddrs'),
    run: (bytes) => acceptedAddresses(relay, [bytes, bytes], [multiaddr('/ip4/11.0.0.7/tcp/4001')], []),
    // A relay may announce only the host at which it was reached.
    accepts: (accepted) =>
      accepted.every((each) => each.toString().startsWith('/ip4/11.0.0.7/') && !each.toString().includes('sni')),
    refuses: refusals.never
  },
  {
    name: 'hole-punch',
    corpus: bytesOf('hole-punch'),
    run: (bytes) => decodeHolePunch(bytes),
    accepts: (value) =>
      value.kind === 'sync' ||
      (value.addresses.length <= 32 &&
        value.addresses.every(isBytes) &&
        isIn(value.mapping, [undefined, 'endpoint-independent', 'address-and-port-dependent']) &&
        typeof value.birthday === 'boolean')
  },
  {
    name: 'stun-binding',
    corpus: bytesOf('stun'),
    run: (bytes) => decodeBinding(bytes),
    accepts: (value) =>
      value === undefined ||
      ([value.mapped, value.other, value.origin].every(isStunAddress) &&
        isIn(value.kind, ['request', 'indication', 'success', 'error']) &&
        (value.errorCode === undefined || (value.errorCode >= 300 && value.errorCode < 700)) &&
        (value.software === undefined || /^[\x20-\x7e]{0,64}$/.test(value.software)))
  },
  {
    name: 'stun-is-message',
    corpus: bytesOf('stun'),
    run: (bytes) => isStunMessage(bytes),
    accepts: (value) => typeof value === 'boolean',
    refuses: refusals.never
  },
  {
    name: 'stun-binding-indication',
    corpus: bytesOf('stun'),
    run: (bytes) => decodeBindingIndication(bytes),
    accepts: (value) => value === undefined || (isBytes(value) && value.length === 12),
    refuses: refusals.never
  },
  {
    name: 'witness-request',
    corpus: bytesOf('witness'),
    run: (bytes) => decodeRequest(bytes),
    accepts: (value) =>
      value === undefined ||
      (isWitnessPlace(value) &&
        isIn(value.protocol, ['tcp', 'udp']) &&
        value.nonce.length === 12 &&
        value.holdMs >= 0 &&
        value.holdMs <= 1000),
    refuses: refusals.never
  },
  {
    name: 'witness-reply',
    corpus: bytesOf('witness'),
    run: (bytes) => decodeReply(bytes),
    accepts: (value) =>
      isWitnessPlace(value) &&
      isIn(value.outcome, ['connected', 'sent']) === (value.from !== undefined) &&
      (value.from === undefined || isWitnessPlace(value.from))
  },
  {
    name: 'witness-refusal',
    corpus: bytesOf('witness'),
    run: (bytes) => decodeRefusal(bytes),
    accepts: ({ error, message, observed }) =>
      [error, message].every((text) => text.length > 0 && text.length <= 200) &&
      (observed === undefined || isIpText(observed)),
    refuses: refusals.never
  },
  {
    name: 'bore-messages',
    corpus: bytesOf('bore'),
    // A socket delivers at most 64 KiB at a time.
    run(bytes) {
      const messages = []
      let unread = Buffer.from(bytes.subarray(0, 65_536))
      for (let taken = takeFrame(unread); taken !== undefined; taken = takeFrame(unread)) {
        messages.push(decodeServerMessage(taken.frame))
        unread = taken.rest
      }
      return messages
    },
    accepts: (messages) =>
      messages.every(
        ({ kind, id, port, text }) =>
          kind === 'heartbeat' || id?.length === 36 || (isUint(port, 16) && port > 0) || typeof text === 'string'
      )
  },
  {
    name: 'tunnel-first-byte',
    corpus: bytesOf('tunnel'),
    run: (bytes, random) => (random.chance(0.5) ? decodeWish(bytes[0] ?? -1) : decodeAnswer(bytes[0] ?? -1)),
    accepts: (value) => isIn(value, ['ask', 'connect', 'accepted', 'not-allowed', 'target-unreachable', 'too-many'])
  },
  {
    name: 'tunnel-records',
    corpus: bytesOf('tunnel'),
    // However the bytes are split in transit, the content of the records is the same.
    run(bytes, random) {
      const [whole, cut] = [createRecordReader(), createRecordReader()]
      const carried = Buffer.concat(whole.read(bytes))
      const parts = []
      for (let at = 0; at < bytes.length; ) {
        const next = at + 1 + random.below(Math.max(40, bytes.length / 8))
        parts.push(...cut.read(bytes.subarray(at, next)))
        at = next
      }
      return { carried, same: Buffer.concat(parts).equals(carried) && cut.hasEnded === whole.hasEnded }
    },
    accepts: ({ carried, same }, bytes) => same && carried.length <= bytes.length
  },
  {
    name: 'tunnel-round-trip',
    corpus: bytesOf('tunnel'),
    run: (bytes) => Buffer.concat(recordsOf(bytes).flatMap((each) => createRecordReader().read(each.subarray()))),
    accepts: (carried, bytes) => carried.equals(bytes),
    refuses: refusals.never
  }
].map((target) => ({ refuses: refusals.network, ...target }))
