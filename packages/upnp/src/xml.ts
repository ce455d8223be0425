import { type NatError, natError } from '@postern/interface'
import { XMLParser } from 'fast-xml-parser'

/** An element without its namespace. Names are in lower case: a few routers do not keep to the case of the standard. */
export interface XmlElement {
  readonly name: string
  readonly text: string
  readonly children: readonly XmlElement[]
}

/** Descriptions nest about 10 deep. Routers that forget closing tags get a bit deeper. */
const maxDepth = 48
/** The largest descriptions of routers have some 20 kB. */
const maxBytes = 64 * 1024
/** Opening and closing tags, comments and the like. A description with every service of IGD:2 has about 250. The parser
 * takes far longer for a tag than for text: without this limit 64 KiB of `x<a/>` would keep the process busy for 0.3 s. */
const maxTags = 1000

/** Longer than a closing tag and what firmware leaves behind it. */
const maxTagLength = 256

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  removeNSPrefix: true,
  parseTagValue: false,
  // Entities are what XML bombs are made of. The five that every document has are replaced below.
  processEntities: false,
  maxNestedTags: maxDepth,
  strictReservedNames: false
})

/**
 * Reads XML as routers write it: with a byte order mark or blanks before the declaration, bare ampersands, junk behind
 * the root, closing tags that are missing. Returns an element that stands for the document.
 *
 * Throws `REPLY_TOO_LARGE` for more bytes than a description has, and `MALFORMED_REPLY` for more tags; neither is parsed.
 * Throws `MALFORMED_REPLY` for a document type, for entities of its own, for nesting that no description has, for elements
 * named like JavaScript's own properties, and for what is no XML at all.
 */
export function parseXml(bytes: Uint8Array): XmlElement {
  if (bytes.length > maxBytes) throw natError('REPLY_TOO_LARGE', `XML of ${bytes.length} bytes, above ${maxBytes}`)
  if (countTags(bytes) > maxTags) throw malformed(`it has more than ${maxTags} tags`)
  const text = new TextDecoder().decode(bytes)
  if (/<!\s*(?:DOCTYPE|ENTITY)/i.test(text)) throw malformed('it declares a document type')
  const start = text.indexOf('<')
  const end = text.lastIndexOf('>')
  if (start === -1 || end < start) throw malformed('it has no elements')
  let parsed: unknown
  try {
    parsed = parser.parse(text.slice(start, end + 1))
  } catch (error) {
    throw malformed('the parser gives up', error)
  }
  const children = elementsOf(parsed)
  if (children.length === 0) throw malformed('it has no elements')
  return { name: '', text: '', children }
}

/** Whether the closing tag of the root ends the text: nothing is missing then, whatever length was promised. */
export function isWholeXml(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes)
  const [, root] = /<([^\s<>/?!]+)/.exec(text) ?? []
  const [, last] = /<\/([^\s<>]+)\s*>[\s\0]*$/.exec(text.slice(-maxTagLength)) ?? []
  return root !== undefined && root === last
}

function countTags(bytes: Uint8Array): number {
  let count = 0
  for (const byte of bytes) if (byte === 0x3c) count++
  return count
}

/** Every element of this name, wherever it is. One inside another of the same name, as missing closing tags make them,
 * counts by itself. */
export function findElements(element: XmlElement, name: string): readonly XmlElement[] {
  return element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...findElements(child, name)])
}

/** The text of the first element of this name inside; not looked for inside another element of the same kind. */
export function findText(element: XmlElement, name: string): string | undefined {
  for (const child of element.children) {
    if (child.name === name) return child.text
    const text = child.name === element.name ? undefined : findText(child, name)
    if (text !== undefined) return text
  }
  return undefined
}

/** The parser's ordered form: a list of `{ name: [children] }` and `{ '#text': text }`. */
function elementsOf(value: unknown): readonly XmlElement[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((node: unknown) =>
    Object.entries(Object(node))
      .filter(([name]) => name !== '#text' && name !== ':@')
      .map(([name, content]) => ({
        name: name.toLowerCase(),
        text: textOf(content),
        children: elementsOf(content)
      }))
  )
}

function textOf(content: unknown): string {
  if (!Array.isArray(content)) return ''
  return content
    .map((node: unknown) => Object.entries(Object(node)).find(([name]) => name === '#text')?.[1])
    .filter((text) => typeof text === 'string')
    .map(replaceEntities)
    .join('')
    .trim()
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

const names: Readonly<Record<string, string>> = { '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot', "'": 'apos' }

/** Leaves alone what is no entity: bare ampersands are common in the URLs of routers. */
function replaceEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name.toLowerCase()] ?? whole
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    return code <= 0x10_ffff ? String.fromCodePoint(code) : whole
  })
}

/** Text for the inside of an element. Control characters, which XML cannot hold, are left out. */
export function escapeXml(text: string): string {
  return text.replace(/\p{Cc}/gu, '').replace(/[&<>"']/g, (char) => `&${names[char]};`)
}

const malformed = (what: string, cause?: unknown): NatError =>
  natError('MALFORMED_REPLY', `not the XML of a router: ${what}`, { cause })
