/** An element as the little XML of SOAP requests has them: text or children. */
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

/** Reads a whole document, without mercy: a client has no excuse for XML that is not well-formed. Returns what is wrong
 * as text. */
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
  return root ?? 'no root, or one that is not closed'
}

/** Puts a finished element into its parent; without a parent it is the root. */
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
