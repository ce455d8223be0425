// Writes docs/adr/README.md, the list of the decisions.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

export function decisionsPage(root) {
  const folder = path.join(root, 'docs', 'adr')
  const files = readdirSync(folder).filter((file) => /^\d{4}-.*\.md$/.test(file))
  const entries = files.sort().map((file) => {
    const [, number, title] = /^# (\d+)\. (.*)$/m.exec(readFileSync(path.join(folder, file), 'utf8'))
    return `${number}. [${title}](${file})`
  })
  return `${['# Decisions', '', 'Each page has the context of one decision, what was decided, and what it costs. Written by `scripts/docs.mjs`.', '', ...entries].join('\n')}\n`
}
