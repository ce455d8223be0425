// The Markdown pages of the site: which ones, under which title and heading, and where their links lead.
import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { Converter, normalizePath } from 'typedoc'

/**
 * Returns the pages of the site by their path relative to the root, in the order of the navigation: those that the index
 * lists, each with the heading that it stands below there, and the decisions.
 */
export function findPages(root, sections) {
  const listed = sections.flatMap(({ title, pages }) => pages.map(({ target }) => [target, { section: title }]))
  const decisions = readdirSync(path.join(root, 'docs', 'adr'))
    .toSorted()
    .map((file) => [`docs/adr/${file}`, { section: 'Decisions' }])
  const markdown = [['docs/README.md', { section: 'Documentation' }], ...listed, ...decisions]
  return new Map(markdown.filter(([file]) => file.endsWith('.md')))
}

/** Gives each page its title and heading. A folder with a README is that page: links to both lead there. */
export function describePages(app, root, pages) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document) => {
    const file = path.relative(root, document.project.files.getReflectionPath(document)).replaceAll('\\', '/')
    const [first] = document.content
    const [heading, title] = /^# (.*)\n+/.exec(first.text)
    first.text = first.text.slice(heading.length) // the theme shows the title
    document.name = title.replaceAll('`', '')
    document.frontmatter['group'] = pages.get(file).section
    if (path.basename(file) === 'README.md') {
      document.project.files.registerReflectionPath(normalizePath(path.dirname(path.join(root, file))), document)
    }
  })
}

/** Removes the first heading of the READMEs: the theme shows the name of the package, or of the project. */
export function dropHeadings(project) {
  for (const { readme } of [project, ...Object.values(project.reflections)]) {
    const first = readme?.find((part) => part.kind === 'text')
    if (first !== undefined) first.text = first.text.replace(/^# .*\n+/, '')
  }
}

/** Names the main module of a package that has others too. TypeDoc gives it no name, and its pages wrong links therefore. */
export function nameMainModules(project) {
  for (const each of Object.values(project.reflections)) if (each.name === '') each.name = 'index'
}

/**
 * Lets the links of all pages to what is no page lead into the repository. Without its address a link to a file leads to a copy of
 * it, and of a link to a folder its text stays.
 */
export function leadOut(project, root, repository) {
  for (const reflection of [project, ...Object.values(project.reflections)]) {
    for (const parts of [reflection.readme, reflection.content]) {
      if (Array.isArray(parts))
        parts.forEach((part, index) => leadPartOut(part, index, parts, project, root, repository))
    }
  }
}

function leadPartOut(part, index, parts, project, root, repository) {
  if (part.kind !== 'relative-link' || part.target === undefined) return
  const file = project.files.resolve(part.target, project)
  if (typeof file !== 'string' || /\.(png|svg|json)$/.test(file)) return // a page, or what a browser shows
  const isFolder = statSync(file).isDirectory()
  const before = parts[index - 1]
  const after = parts[index + 1]
  if (repository !== undefined) {
    const kind = isFolder ? 'tree' : 'blob'
    const anchor = part.targetAnchor === undefined ? '' : `#${part.targetAnchor}`
    const to = path.relative(root, file).replaceAll('\\', '/')
    parts[index] = { kind: 'text', text: `${repository.url}/${kind}/${repository.commit}/${to}${anchor}` }
  } else if (isFolder) {
    before.text = before.text.replace(/\[([^\]]*)\]\($/, '$1')
    after.text = after.text.replace(/^\)/, '')
    parts[index] = { kind: 'text', text: '' }
  }
}
