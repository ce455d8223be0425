import { fingerprintOf } from '@postern/net'
import type { StunAddress } from '../src/address-codec.js'
import type { FakeNat, Outsider } from './fake-nat.js'

const cookie = [0x21, 0x12, 0xa4, 0x42]

export type Attribute = readonly [type: number, value: Uint8Array]

/** The faults of a server. */
export interface ServerPlan {
  /** Its second address and port, if it has one. */
  readonly other?: StunAddress
  /** The second address that it claims. @default the real one */
  readonly claims?: StunAddress
  /** Returns the address that it claims to see. @default the real one */
  readonly sees?: (from: StunAddress) => StunAddress
  /** Returns the bytes of its answer, from the correct ones. */
  readonly spoil?: (answer: Uint8Array, request: Uint8Array) => Uint8Array
  /** Returns the source address of its answers. @default the correct one */
  readonly from?: (right: StunAddress) => StunAddress
  /** The number of requests that it ignores at first. @default 0 */
  readonly deafFor?: number
  /** The error with which it answers every request. */
  readonly error?: number
  /** How it answers CHANGE-REQUEST and RESPONSE-PORT without support for them: with error 420, or plainly. */
  readonly ignoresChange?: 'error' | 'plain'
}

export interface FakeServer {
  readonly address: StunAddress
  /** The number of requests that it has received, on all its addresses. */
  readonly requests: () => number
  /** The violations of RFC 8489 that it has seen. */
  readonly violations: string[]
  plan: ServerPlan
}

/** Starts a STUN server outside the NAT, which is strict apart from the given faults. */
export function fakeServer(nat: FakeNat, address: StunAddress, plan: ServerPlan = {}): FakeServer {
  let requests = 0
  const server: FakeServer = { address, requests: () => requests, violations: [], plan }
  const { other } = plan
  const places = [address, ...(other === undefined ? [] : crossed(address, other))]
  for (const place of places) nat.at(place, answering(place))
  return server

  function answering(place: StunAddress): Outsider {
    return (request, from, reply) => {
      requests += 1
      server.violations.push(...violationsOf(request))
      const { plan: now } = server
      if (requests <= (now.deafFor ?? 0)) return
      const { change, responsePort } = wishesOf(request)
      if ((change > 0 || responsePort !== undefined) && now.ignoresChange === 'error')
        return reply(error(request, 420, [change > 0 ? 3 : 0x27]), place)
      if (now.error !== undefined) return reply(error(request, now.error, []), place)
      const wish = now.ignoresChange === 'plain' ? 0 : change
      const right = now.other === undefined || wish === 0 ? place : changed(place, wish, address, now.other)
      const seen = now.sees?.(from) ?? from
      const answer = success(request, seen, now.other === undefined ? now.claims : (now.claims ?? now.other))
      const bytes = now.spoil?.(answer, request) ?? answer
      const to = now.ignoresChange === 'plain' || responsePort === undefined ? from : { ...from, port: responsePort }
      reply(bytes, now.from?.(right) ?? right, to)
    }
  }
}

const crossed = (one: StunAddress, two: StunAddress): StunAddress[] => [
  { address: one.address, port: two.port },
  { address: two.address, port: one.port },
  two
]

/** Reads CHANGE-REQUEST (RFC 5780 §7.2). */
function changed(place: StunAddress, flags: number, one: StunAddress, two: StunAddress): StunAddress {
  const flip = <T>(value: T, first: T, second: T): T => (value === first ? second : first)
  return {
    address: flags & 4 ? flip(place.address, one.address, two.address) : place.address,
    port: flags & 2 ? flip(place.port, one.port, two.port) : place.port
  }
}

function violationsOf(request: Uint8Array): string[] {
  const view = new DataView(request.buffer, request.byteOffset)
  const found: string[] = []
  if (view.getUint16(0) !== 1) found.push('not a Binding request')
  if (view.getUint16(2) !== request.length - 20 || request.length % 4 !== 0) found.push('a wrong length')
  if (!cookie.every((byte, at) => request[4 + at] === byte)) found.push('no magic cookie')
  const last = view.getUint32(request.length - 4)
  if (last !== fingerprintOf(request.subarray(0, -8))) found.push('a wrong fingerprint')
  return found
}

function wishesOf(request: Uint8Array): { readonly change: number; readonly responsePort?: number } {
  const view = new DataView(request.buffer, request.byteOffset, request.byteLength)
  const wishes: { change: number; responsePort?: number } = { change: 0 }
  for (let at = 20; at < request.length; at += 4 + view.getUint16(at + 2)) {
    if (view.getUint16(at) === 3) wishes.change = view.getUint32(at + 4)
    if (view.getUint16(at) === 0x27) wishes.responsePort = view.getUint16(at + 4)
  }
  return wishes
}

/** Returns a Binding success response to a request. */
export function success(request: Uint8Array, seen: StunAddress, other?: StunAddress): Uint8Array {
  const attributes: Attribute[] = [[0x20, addressBytes(seen, request.subarray(4, 20))]]
  if (other !== undefined) attributes.push([0x802c, addressBytes(other)])
  return message(0x0101, request.subarray(8, 20), attributes)
}

const error = (request: Uint8Array, code: number, unknown: readonly number[]): Uint8Array =>
  message(0x0111, request.subarray(8, 20), [
    [9, Uint8Array.of(0, 0, Math.floor(code / 100), code % 100)],
    [0x0a, Uint8Array.from(unknown.flatMap((type) => [type >> 8, type & 255]))]
  ])

export function message(type: number, id: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  const body = attributes.flatMap(([kind, value]) => [
    kind >> 8,
    kind & 255,
    value.length >> 8,
    value.length & 255,
    ...value,
    ...new Uint8Array(-value.length & 3)
  ])
  return Uint8Array.from([type >> 8, type & 255, body.length >> 8, body.length & 255, ...cookie, ...id, ...body])
}

/** Returns an IPv4 address and port as an attribute, XORed if there is a mask. */
export function addressBytes({ address, port }: StunAddress, mask?: Uint8Array): Uint8Array {
  const bytes = address.split('.').map(Number)
  const mix = (byte: number, at: number): number => byte ^ (mask?.[at] ?? 0)
  return Uint8Array.from([0, 1, mix(port >> 8, 0), mix(port & 255, 1), ...bytes.map(mix)])
}
