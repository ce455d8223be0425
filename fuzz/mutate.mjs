/** Inputs for parsers: entries of the corpus with a few changes, and sometimes random or very long ones. */
const largeBytes = 1_000_000

const bytesOfInterest = [0, 1, 2, 0x0a, 0x0d, 0x20, 0x2f, 0x3c, 0x3e, 0x7f, 0x80, 0xc3, 0xfe, 0xff]
const wordsOfInterest = [
  '\0',
  '\u001b[2J',
  '\u202e',
  '\ud800',
  '\r\n',
  '\n\n',
  '/',
  '//',
  '%',
  '%00',
  ':',
  '[',
  ']',
  '"',
  '<',
  '</',
  '<a/>',
  '<!--',
  '<![CDATA[',
  '&#0;',
  '&amp;',
  '{',
  '[[[[',
  'null',
  '-1',
  '0',
  '00',
  '1e9',
  '65535',
  '65536',
  '4294967295',
  '9007199254740993',
  'NaN',
  '__proto__',
  'constructor',
  '::',
  '::ffff:127.0.0.1',
  '127.0.0.1',
  '010.0.0.1',
  '/p2p-circuit',
  '/sni/localhost',
  '/unix/%2ftmp',
  '/http-path/x'
]

/** Returns a changed copy of an entry of the corpus, of the same kind: bytes or text. */
export function mutate(random, corpus) {
  const entry = random.pick(corpus)
  return typeof entry === 'string' ? mutateText(random, entry, corpus) : mutateBytes(random, entry, corpus)
}

/** Returns an input of at most {@link largeBytes}: one part of the corpus, or one short word, repeated. */
export function enlarge(random, corpus, size = largeBytes) {
  const entry = random.pick(corpus)
  const start = random.below(entry.length)
  const part = random.chance(0.5) ? entry : entry.slice(start, start + 1 + random.below(24))
  if (typeof entry === 'string') {
    const unit = random.chance(0.4) ? random.pick(wordsOfInterest) : part || ' '
    const middle = unit.repeat(Math.max(0, Math.floor((size - entry.length) / unit.length)))
    return random.chance(0.5) ? middle : entry.slice(0, start) + middle + entry.slice(start)
  }
  const bytes = new Uint8Array(size)
  const unit = random.chance(0.3) || part.length === 0 ? Uint8Array.of(random.pick(bytesOfInterest)) : part
  for (let at = 0; at < size; at += unit.length) bytes.set(unit.subarray(0, size - at), at)
  if (random.chance(0.5)) bytes.set(entry.subarray(0, size))
  return bytes
}

function mutateBytes(random, entry, corpus) {
  if (random.chance(0.05)) return random.bytes(random.below(1500))
  let bytes = [...entry]
  for (let changes = 1 + random.below(6); changes > 0; changes--) {
    const at = random.below(bytes.length + 1)
    const kind = random.below(7)
    if (kind === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
    else if (kind === 1) bytes[at] = random.pick(bytesOfInterest)
    else if (kind === 2) bytes = bytes.slice(0, at)
    else if (kind === 3) bytes.splice(at, 1 + random.below(8))
    else if (kind === 4) bytes.splice(at, 0, ...random.bytes(1 + random.below(8)))
    else if (kind === 5) bytes.splice(at, 0, ...bytes.slice(at, at + random.below(64)))
    else bytes = [...bytes.slice(0, at), ...random.pick(corpus).slice(random.below(32))]
  }
  return Uint8Array.from(bytes)
}

function mutateText(random, entry, corpus) {
  if (random.chance(0.05)) return String.fromCharCode(...random.bytes(random.below(200)))
  let text = entry
  for (let changes = 1 + random.below(5); changes > 0; changes--) {
    const at = random.below(text.length + 1)
    const length = 1 + random.below(8)
    const kind = random.below(6)
    if (kind === 0) text = text.slice(0, at) + text.slice(at + length)
    else if (kind === 1) text = text.slice(0, at) + random.pick(wordsOfInterest) + text.slice(at)
    else if (kind === 2) text = text.slice(0, at) + random.pick(wordsOfInterest) + text.slice(at + length)
    else if (kind === 3) text = text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1)
    else if (kind === 4) text = text.slice(0, at) + text.slice(at, at + random.below(64)) + text.slice(at)
    else text = text.slice(0, at) + random.pick(corpus).slice(random.below(32))
  }
  return text
}
