import type { FaultOf } from './faults.js'

/** Returns a document with this fault. */
export function spoilXml(document: string, what: FaultOf<'xml'>['what']): string {
  switch (what) {
    case 'doctype':
      return withDoctype(document, '')
    case 'external-entity':
      return inside(withDoctype(document, ' [<!ENTITY xxe SYSTEM "file:///etc/hostname">]'), '<note>&xxe;</note>')
    case 'bomb': {
      // Ten levels of ten entities expand to ten billion copies.
      const levels = Array.from({ length: 10 }, (_, level) => {
        const text = level === 0 ? 'ha' : `&e${level - 1};`.repeat(10)
        return `<!ENTITY e${level} "${text}">`
      })
      return inside(withDoctype(document, ` [${levels.join('')}]`), '<note>&e9;</note>')
    }
    case 'deep':
      // Small enough for any size limit, so that only the depth limit is tested.
      return inside(document, `${'<a>'.repeat(2000)}${'</a>'.repeat(2000)}`)
    case 'proto':
      return inside(
        document,
        '<__proto__><polluted>yes</polluted></__proto__><constructor><prototype><polluted>yes</polluted></prototype></constructor>'
      )
    case 'blank-before-declaration':
      return `\r\n ${document}`
    case 'byte-order-mark':
      return `\uFEFF${document}`
    case 'trailing-nul':
      return `${document}\0`
    case 'bare-ampersand':
      return inside(document, '<note>Tom & Jerry</note>')
    case 'junk-after-root':
      return `${document}\r\n0\r\n\r\nfor (;;) { & <`
    case 'unclosed-tags':
      // Leaves the root element open.
      return document.replace(/<\/[^>]*>\s*$/, '')
  }
}

const withDoctype = (document: string, subset: string): string =>
  document.replace(/^(<\?xml[^>]*>)?\s*/, (declaration) => `${declaration}<!DOCTYPE root${subset}>`)

/** Inserts text at the beginning of the device, response or error. */
const inside = (document: string, addition: string): string =>
  document.replace(/<device>|<u:\w+Response[^>]*>|<UPnPError[^>]*>/, (tag) => `${tag}${addition}`)
