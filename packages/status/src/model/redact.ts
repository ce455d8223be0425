import { classOf, familyOf } from '@postern/interface'

/**
 * Returns a copy of a JSON value without addresses, ids of peers, and names of hosts, routers and programs. The same text becomes
 * the same placeholder everywhere, `[public IPv4 1]` for example, so that it can still be seen what belongs together. Loopback and
 * unspecified addresses stay.
 */
export function redact<T>(value: T): T {
  const placeholders = new Map<string, string>()
  const counts = new Map<string, number>()
  const placeholder = (what: string, text: string): string => {
    const known = placeholders.get(text)
    if (known !== undefined) return known
    const count = (counts.get(what) ?? 0) + 1
    counts.set(what, count)
    placeholders.set(text, `[${what} ${count}]`)
    return `[${what} ${count}]`
  }
  const parties = [...new Map(namesIn(value, ''))]
    .filter(([name]) => name.length > 2 && !new RegExp(`^${peerId.source}$`).test(name))
    .toSorted(([one], [other]) => other.length - one.length)
    .map(([name, what]) => [name, what, new RegExp(String.raw`(?<!\w)${escaped(name)}(?!\w)`, 'g')] as const)

  function clean(text: string): string {
    let rest = text
    for (const [name, what, pattern] of parties) rest = rest.replaceAll(pattern, () => placeholder(what, name))
    return rest
      .replaceAll(peerId, (id) => placeholder('peer', id))
      .replaceAll(named, (_, start: string, name: string) => `${start}${address(name) ?? placeholder('host', name)}`)
      .replaceAll(mac, (found) => placeholder('hardware address', found))
      .replaceAll(addresses, (found) => address(found) ?? found)
  }

  /** Returns what an IP address is replaced by; undefined for other texts. */
  function address(found: string): string | undefined {
    const plain = found.replace(/%.*$/, '')
    const family = familyOf(plain)
    const kind = classOf(plain)
    if (family === undefined || kind === undefined) return undefined
    if (kind === 'loopback' || kind === 'unspecified') return found
    return placeholder(`${kind === 'global' ? 'public' : kind} IPv${family}`, plain)
  }

  const copy = (each: unknown): unknown => {
    if (typeof each === 'string') return clean(each)
    if (Array.isArray(each)) return each.map(copy)
    if (typeof each !== 'object' || each === null) return each
    return Object.fromEntries(Object.entries(each).map(([name, inner]) => [name, copy(inner)]))
  }
  // The shape is the same; only texts differ.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return copy(value) as T
}

const peerId = /\b(?:12D3Koo|16Uiu2HA|Qm)[1-9A-HJ-NP-Za-km-z]{30,60}\b/g
/** The host of a URL and of a multiaddr, and what stands before and behind an @. */
const named = /((?:\w+:\/\/|\/dns[46]?\/|\/dnsaddr\/|@|\bssh:|\bbore:))((?:[\w.-]+@)?[\w-]+(?:\.[\w-]+)*)/g
const mac = /\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b/gi
const addresses =
  /(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?:%[\w.-]+)?)(?![\w:])/gi

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)

/** The names of parties, the names that the owners of routers gave to them, and the descriptions of mappings, each with
 * what it names. */
function* namesIn(value: unknown, field: string): Generator<readonly [name: string, what: string]> {
  if (typeof value === 'string' && (field === 'party' || field === 'peer')) yield [value, 'party']
  if (Array.isArray(value)) for (const each of value) yield* namesIn(each, field)
  else if (typeof value === 'object' && value !== null) {
    const { name, model, description } = { name: null, model: null, description: null, ...value }
    // Firmware that has no name of its owner repeats the model.
    if ((field === 'device' || field === 'router') && typeof name === 'string' && !String(model).includes(name))
      yield [name, 'router name']
    if (field === 'heldByOthers' && typeof description === 'string') yield [description, 'program']
    for (const [key, inner] of Object.entries(value)) yield* namesIn(inner, key)
  }
}
