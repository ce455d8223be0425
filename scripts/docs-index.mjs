// Reads docs/README.md, the index of the documentation. llms.txt and the site are made from it.
import path from 'node:path'

const entry = /^- \[(?<title>[^\]]+)\]\((?<target>[^)#\s]+)\): (?<description>.+)$/

/**
 * Returns the sections of the index, each with the pages it lists: title, path relative to the root, description.
 * Throws an Error at a line that is no entry: a page that is not understood would be missing in what is made from the index.
 *
 * @param {string} text
 * @returns {{ title: string, pages: { title: string, target: string, description: string }[] }[]}
 */
export function sectionsOf(text) {
  /** @type {ReturnType<typeof sectionsOf>} */
  const sections = []
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('# ')) continue
    const found = entry.exec(line)
    if (line.startsWith('## ')) sections.push({ title: line.slice(3), pages: [] })
    else if (found === null || sections.length === 0) {
      throw new Error(`docs/README.md:${index + 1} is not "- [title](path): description" below a heading: ${line}`)
    } else sections.at(-1).pages.push({ ...found.groups, target: path.posix.join('docs', found.groups.target) })
  }
  return sections
}
