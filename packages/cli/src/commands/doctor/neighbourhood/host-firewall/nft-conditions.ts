import { type Answer, any, known, not } from './chains.js'
import { isFrom, isOn, isTo, type Syn } from './packet.js'

/** The elements of the named sets of a table. */
export type Sets = ReadonlyMap<string, readonly unknown[]>

/** Returns whether a value of the packet equals an element. */
type Compare = (element: unknown) => Answer

/** Returns the answer of a `match` statement (libnftables-json(5)). `maybe` for everything that is not understood. */
export function answerOfMatch(match: unknown, syn: Syn, sets: Sets): Answer {
  if (!isRecord(match)) return 'maybe'
  const { op, left, right } = match
  const flags = flagsOf(left)
  if (flags !== undefined) return answerOfFlags(op, flags, right)
  const compare = valueOf(left, syn)
  if (compare === 'no') return 'no'
  if (op === '==' || op === 'in') return contains(right, compare, sets)
  if (op === '!=') return not(contains(right, compare, sets))
  return 'maybe'
}

/** Returns whether one of the elements on the right equals the value. */
export function contains(right: unknown, compare: Compare, sets: Sets, depth = 0): Answer {
  if (depth > 4) return 'maybe'
  if (typeof right === 'string' && right.startsWith('@')) {
    const elements = sets.get(right.slice(1))
    return elements === undefined ? 'maybe' : contains({ set: elements }, compare, sets, depth + 1)
  }
  if (Array.isArray(right)) return any(right.map((each) => contains(each, compare, sets, depth + 1)))
  if (isRecord(right) && Array.isArray(right['set'])) return contains(right['set'], compare, sets, depth + 1)
  if (isRecord(right) && isRecord(right['elem'])) return contains(right['elem']['val'], compare, sets, depth + 1)
  return compare(right)
}

/** Returns how to compare a value of the packet; `no` for a value that the packet does not have, which never matches. */
export function valueOf(left: unknown, syn: Syn): Compare | 'no' {
  if (!isRecord(left)) return unknown
  const { payload, meta, ct, fib } = left
  if (isRecord(payload)) return payloadOf(payload, syn)
  if (isRecord(meta)) return metaOf(meta['key'], syn)
  // Without a rule that translates the destination, which is examined on its own, the status is not dnat.
  if (isRecord(ct) && ct['key'] === 'state')
    return syn.isTracked === false ? newOrUntracked : isOneOf(['new'], ctStates)
  if (isRecord(ct) && ct['key'] === 'status') return (element) => (element === 'dnat' ? 'no' : 'maybe')
  if (isRecord(fib) && fib['result'] === 'type' && JSON.stringify(fib['flags']) === '["daddr"]')
    return isOneOf(['local'], addressTypes)
  return unknown
}

const unknown: Compare = () => 'maybe'
const ctStates = ['new', 'established', 'related', 'invalid', 'untracked']
/** Compares with the state of a packet of which a rule may have taken the state. */
const newOrUntracked: Compare = (element) =>
  element === 'established' || element === 'related' || element === 'invalid' ? 'no' : 'maybe'
const addressTypes = ['local', 'unicast', 'broadcast', 'multicast', 'anycast', 'blackhole', 'unreachable', 'prohibit']
const protocols = [
  'tcp',
  'udp',
  'icmp',
  'icmpv6',
  'ipv6-icmp',
  'igmp',
  'esp',
  'ah',
  'sctp',
  'udplite',
  'dccp',
  'gre',
  'vrrp',
  'ipip',
  'ospf',
  'comp'
]

/** Compares with the names and the number of a value. A name that is not known may be another word for it. */
const isOneOf =
  (own: readonly (string | number)[], names: readonly string[]): Compare =>
  (element) => {
    if (typeof element !== 'string' && typeof element !== 'number') return 'maybe'
    if (own.includes(element)) return 'yes'
    const isOther = typeof element === 'string' ? names.includes(element) : own.some((each) => typeof each === 'number')
    return isOther ? 'no' : 'maybe'
  }

const protocolIs = isOneOf(['tcp', 6], protocols)

function payloadOf({ protocol, field }: Readonly<Record<string, unknown>>, syn: Syn): Compare | 'no' {
  if ((protocol === 'tcp' || protocol === 'th') && field === 'dport') return portIs(syn.port)
  if (protocol === 'tcp' || protocol === 'th' || protocol === 'ether') return unknown
  if (protocol === 'ip6' || otherProtocols.has(String(protocol))) return 'no'
  if (protocol !== 'ip') return unknown
  if (field === 'protocol') return protocolIs
  if (field === 'saddr') return inRange(isFrom)
  if (field === 'daddr') return inRange((address, bits) => isTo(syn, address, bits))
  return unknown
}

const otherProtocols = new Set(['udp', 'icmp', 'icmpv6', 'igmp', 'sctp', 'dccp', 'udplite', 'esp', 'ah', 'comp', 'arp'])

function metaOf(key: unknown, syn: Syn): Compare {
  switch (key) {
    case 'l4proto':
      return protocolIs
    case 'nfproto':
      return isOneOf(['ipv4', 2], ['ipv6'])
    case 'protocol':
      return isOneOf(['ip'], ['ip6', 'arp', 'vlan'])
    case 'iifname':
    case 'iif':
      return (element) => (typeof element === 'string' ? isOn(syn, element) : 'maybe')
    case 'pkttype':
      return (element) => (element === 'broadcast' || element === 'multicast' ? 'no' : 'maybe')
    default:
      return unknown
  }
}

const portIs =
  (port: number): Compare =>
  (element) => {
    if (typeof element === 'number') return known(element === port)
    const [from, to] = rangeOf(element)
    return typeof from === 'number' && typeof to === 'number' ? known(from <= port && port <= to) : 'maybe'
  }

/** Returns the ends of a range; an empty list for another element. */
function rangeOf(element: unknown): readonly unknown[] {
  const range: unknown = isRecord(element) ? element['range'] : undefined
  return Array.isArray(range) ? range : []
}

const inRange =
  (isIn: (address: string, bits: number) => Answer): Compare =>
  (element) => {
    if (typeof element === 'string') return isIn(element, 32)
    const prefix: unknown = isRecord(element) ? element['prefix'] : undefined
    if (!isRecord(prefix) || typeof prefix['addr'] !== 'string' || typeof prefix['len'] !== 'number') return 'maybe'
    return isIn(prefix['addr'], prefix['len'])
  }

/** Returns the flags that `tcp flags` is masked with; undefined for another value. */
function flagsOf(left: unknown): readonly string[] | undefined {
  const operands: unknown = isRecord(left) ? left['&'] : undefined
  if (!Array.isArray(operands) || operands.length !== 2) return undefined
  const [value, mask]: readonly unknown[] = operands
  const payload: unknown = isRecord(value) ? value['payload'] : undefined
  if (!isRecord(payload) || payload['protocol'] !== 'tcp' || payload['field'] !== 'flags') return undefined
  return namesOf(mask)
}

/** Answers for the flags of a SYN. It may have the flags of ECN (RFC 3168 §6.1.1). */
function answerOfFlags(op: unknown, mask: readonly string[], right: unknown): Answer {
  const wanted = namesOf(right)
  if (wanted === undefined || mask.some((flag) => !plainFlags.has(flag))) return 'maybe'
  const own = mask.filter((flag) => flag === 'syn')
  const isEqual = own.length === wanted.length && own.every((flag) => wanted.includes(flag))
  if (op === '==') return known(isEqual)
  return op === '!=' ? known(!isEqual) : 'maybe'
}

const plainFlags = new Set(['fin', 'syn', 'rst', 'psh', 'ack', 'urg'])

/** Returns the names in `"syn"`, `["syn", "ack"]` or `{"|": ["syn", "ack"]}`; undefined for anything else. */
function namesOf(value: unknown): readonly string[] | undefined {
  if (typeof value === 'string') return [value]
  const list: unknown = isRecord(value) ? value['|'] : value
  if (!Array.isArray(list)) return undefined
  const names = list.map((each: unknown) => (typeof each === 'string' ? [each] : namesOf(each)))
  return names.every((each) => each !== undefined) ? names.flat() : undefined
}

/** Returns whether a value is an object with string keys. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
