/** An XML element of a SOAP request, with either text or children. */
export interface XmlElement {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly XmlElement[]
  readonly text: string
}

interface OpenElement {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: XmlElement[]
  text: string
}

/**
 * Parses a whole document strictly, since clients must send well-formed XML. Returns a text that describes the first
 * error.
 */
export function parseXml(source: string): XmlElement | string {
  const text = source.replace(/^<\?xml [^?]*\?>/, '').trim()
  const stack: OpenElement[] = []
  let root: XmlElement | undefined
  for (const [token] of text.matchAll(/<[^>]*>|[^<]+|</g)) {
    if (root !== undefined) return 'something after the root'
    const open = stack.at(-1)
    if (!token.startsWith('<')) {
      const value = unescapeXml(token)
      if (value === undefined) return `a bare & in ${token}`
      if (open === undefined) return 'text outside the root'
      open.text += value
      continue
    }
    const tag = /^<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>$/.exec(token)
    if (tag === null) return `not a tag: ${token}`
    const [, closing, name = '', attributes = '', empty] = tag
    if (closing === '/') {
      if (open?.name !== name) return `</${name}> closes nothing`
      stack.pop()
      root = attach(stack, open)
    } else {
      const element: OpenElement = { name, attributes: readAttributes(attributes), children: [], text: '' }
      if (empty === '/') root = attach(stack, element)
      else stack.push(element)
    }
  }
  return root ?? 'there is no root element, or it is not closed'
}

/** Adds a finished element to its parent, or returns it as the root. */
function attach(stack: readonly OpenElement[], element: OpenElement): XmlElement | undefined {
  const parent = stack.at(-1)
  if (parent === undefined) return element
  parent.children.push(element)
  return undefined
}

function readAttributes(source: string): Readonly<Record<string, string>> {
  const pairs = [...source.matchAll(/([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)]
  return Object.fromEntries(pairs.map(([, name = '', double, single]) => [name, double ?? single ?? '']))
}

const entities: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"]
])

function unescapeXml(text: string): string | undefined {
  if (/&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[\da-fA-F]+);)/.test(text)) return undefined
  return text.replace(/&(#x?)?([\da-zA-Z]+);/g, (_, numeric: string | undefined, value: string) =>
    numeric === undefined
      ? (entities.get(value) ?? '')
      : String.fromCodePoint(Math.min(0x10ffff, Number.parseInt(value, numeric === '#x' ? 16 : 10)))
  )
}

export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (sign) => `&${[...entities].find(([, each]) => each === sign)?.[0]};`)
