import { createRequire } from 'node:module'
import { type NatError, natError } from '@postern/interface'
import type * as FastXmlParser from 'fast-xml-parser'

/** Loads the CommonJS build, which is one file and takes a sixth of the time of its 40 modules. */
const load: (name: 'fast-xml-parser') => typeof FastXmlParser = createRequire(import.meta.url)

/** An element without its namespace. Names are in lower case, because a few routers do not use the case of the
 * standard. */
export interface XmlElement {
  readonly name: string
  readonly text: string
  readonly children: readonly XmlElement[]
}

/** The maximum nesting depth. Descriptions nest about 10 deep, and deeper if closing tags are missing. */
const maxDepth = 48
/** The maximum size of a document. The largest descriptions of routers have about 20 kB. */
const maxBytes = 64 * 1024
/** The maximum number of tags, comments and the like. A description with every service of IGD:2 has about 250. The
 * parser needs far more time for a tag than for text: without this limit 64 KiB of `x<a/>` would block the process for
 * 0.3 s. */
const maxTags = 1000

/** Longer than a closing tag with the junk that firmware leaves after it. */
const maxTagLength = 256

let loaded: FastXmlParser.XMLParser | undefined

/** Returns the parser, which is loaded when a router has sent the first document. */
function xmlParser(): FastXmlParser.XMLParser {
  if (loaded !== undefined) return loaded
  const { XMLParser } = load('fast-xml-parser')
  loaded = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: true,
    ignoreDeclaration: true,
    ignorePiTags: true,
    removeNSPrefix: true,
    parseTagValue: false,
    // No entities, because XML bombs consist of them. The five predefined ones are replaced below.
    processEntities: false,
    maxNestedTags: maxDepth,
    strictReservedNames: false
  })
  return loaded
}

/**
 * Parses XML as routers write it: with a byte order mark or spaces before the declaration, bare ampersands, junk after
 * the root element, and missing closing tags. Returns an element that represents the document.
 *
 * Throws `REPLY_TOO_LARGE` for too many bytes and `MALFORMED_REPLY` for too many tags, before parsing. Throws
 * `MALFORMED_REPLY` for a document type, entity declarations, excessive nesting, elements named like JavaScript's own
 * properties, and for text that is not XML.
 */
export function parseXml(bytes: Uint8Array): XmlElement {
  if (bytes.length > maxBytes) throw natError('REPLY_TOO_LARGE', `XML of ${bytes.length} bytes, above ${maxBytes}`)
  if (countTags(bytes) > maxTags) throw malformed(`it has more than ${maxTags} tags`)
  const text = new TextDecoder().decode(bytes)
  if (/<!\s*(?:DOCTYPE|ENTITY)/i.test(text)) throw malformed('it declares a document type')
  const start = text.indexOf('<')
  const end = text.lastIndexOf('>')
  if (start === -1 || end < start) throw malformed('it has no elements')
  const parser = xmlParser()
  let parsed: unknown
  try {
    parsed = parser.parse(text.slice(start, end + 1))
  } catch (error) {
    throw malformed('the parser fails', error)
  }
  const children = elementsOf(parsed)
  if (children.length === 0) throw malformed('it has no elements')
  return { name: '', text: '', children }
}

/** Returns whether the text ends with the closing tag of the root. Then it is complete, whatever length was
 * announced. */
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

/** Returns every element with this name, at any depth. Missing closing tags put elements inside others of the same
 * name; each of them is returned. */
export function findElements(element: XmlElement, name: string): readonly XmlElement[] {
  return element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...findElements(child, name)])
}

/** Returns the text of the first descendant with this name. Does not search inside nested elements with the name of
 * `element`. */
export function findText(element: XmlElement, name: string): string | undefined {
  for (const child of element.children) {
    if (child.name === name) return child.text
    const text = child.name === element.name ? undefined : findText(child, name)
    if (text !== undefined) return text
  }
  return undefined
}

/** Converts the parser's ordered form: a list of `{ name: [children] }` and `{ '#text': text }`. */
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

/** Replaces entities. Keeps other ampersands: bare ones are common in the URLs of routers. */
function replaceEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name.toLowerCase()] ?? whole
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    return code <= 0x10_ffff ? String.fromCodePoint(code) : whole
  })
}

/** Escapes text for the content of an element. Removes control characters, which XML cannot contain. */
export function escapeXml(text: string): string {
  return text.replace(/\p{Cc}/gu, '').replace(/[&<>"']/g, (char) => `&${names[char]};`)
}

const malformed = (what: string, cause?: unknown): NatError =>
  natError('MALFORMED_REPLY', `not the XML of a router: ${what}`, { cause })
