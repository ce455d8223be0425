// Finds the links of a folder of HTML pages that lead to a file or an element that is not there. Links to other hosts are not
// followed.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'

const link = /<(?:a|img|link|script|use)\b[^>]*?\s(?:href|src)="([^"]*)"/g
const element = /<[a-z][^>]*?\sid="([^"]*)"/g
const entities = { '&amp;': '&', '&quot;': '"', '&#39;': "'", '&lt;': '<', '&gt;': '>' }
const decode = (text) => text.replaceAll(/&(?:amp|quot|#39|lt|gt);/g, (entity) => entities[entity])

/** Returns the page and the target of each such link. */
export function brokenLinks(folder) {
  const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'))
  const ids = new Map(pages.map((page) => [page, idsOf(path.join(folder, page))]))
  return pages.toSorted().flatMap((page) => {
    const targets = [...readFileSync(path.join(folder, page), 'utf8').matchAll(link)].map(([, target]) =>
      decode(target)
    )
    return [...new Set(targets)]
      .filter((target) => !isThere(folder, ids, page, target))
      .map((target) => ({ page, target }))
  })
}

function idsOf(file) {
  return new Set([...readFileSync(file, 'utf8').matchAll(element)].map(([, id]) => decode(id)))
}

function isThere(folder, ids, page, target) {
  if (/^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(target)) return true
  const [bare, fragment] = target.split('#')
  const relative = decodeURIComponent(bare.replace(/\?.*/, ''))
  let file = relative === '' ? page : path.join(path.dirname(page), relative)
  const found = path.join(folder, file)
  if (file.startsWith('..') || !existsSync(found)) return false
  if (statSync(found).isDirectory()) {
    file = path.join(file, 'index.html')
    if (!ids.has(file)) return false
  }
  return fragment === undefined || fragment === '' || !ids.has(file) || ids.get(file).has(decodeURIComponent(fragment))
}
