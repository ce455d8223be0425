// Writes llms.txt (llmstxt.org): the packages and the documentation for programs that read text, from the index of the
// documentation and the manifests. Links are relative to the file, as in all files of the repository: they are right in a clone,
// in any fork or mirror, and on the site, which has a copy of this file and of the Markdown files.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { sectionsOf } from './docs-index.mjs'

/** The packages to start with. The others follow in the order of their names. */
const first = ['node', 'libp2p', 'cli']

export function llmsText(root) {
  const read = (file) => readFileSync(path.join(root, file), 'utf8')
  const summary = /^# .*\n\n([^]*?)\n\n/.exec(read('README.md'))?.[1] ?? ''
  const [lead = '', ...rest] = summary.replaceAll('\n', ' ').split(/(?<=\.) /)
  const folders = readdirSync(path.join(root, 'packages'))
  const packages = [...first, ...folders.filter((name) => !first.includes(name))].map((name) => {
    const manifest = JSON.parse(read(`packages/${name}/package.json`))
    return `- [${manifest.name}](packages/${name}/README.md): ${manifest.description}`
  })
  const signatures = folders.flatMap((name) =>
    reportsIn(path.join(root, 'packages', name, 'etc')).map((file) => {
      const module = /^## API Report File for "(.*)"/.exec(read(`packages/${name}/etc/${file}`))?.[1]
      const subpath = file.slice(name.length + 1, -'.api.md'.length).replace(/^(?=.)/, '/')
      return `- [${module}${subpath}](packages/${name}/etc/${file}): every exported type and function`
    })
  )
  return `${[
    '# Postern',
    `> ${lead}`,
    rest.join(' '),
    section('Packages', packages),
    ...sectionsOf(read('docs/README.md')).map(({ title, pages }) =>
      section(
        title,
        pages.map((page) => `- [${page.title}](${page.target}): ${page.description}`)
      )
    ),
    section('Optional', signatures)
  ].join('\n\n')}\n`
}

/** A package that is only a command has no signatures. */
const reportsIn = (folder) => (existsSync(folder) ? readdirSync(folder) : [])

const section = (title, lines) => [`## ${title}`, '', ...lines].join('\n')
