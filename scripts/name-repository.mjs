// Writes the repository of the packages into their published files. See `--help`.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { replaceLinks } from './markdown-links.mjs'

const help = `Usage: node scripts/name-repository.mjs <https url> [--ref <tag or commit>] [--check]

Writes repository, homepage and bugs into the manifest of each package that is published, and makes links of its README to
files that are not published with it links to that repository: relative ones lead nowhere on npmjs.com and in node_modules.
The addresses have the form that GitHub gives them. A second run changes nothing.

  --ref <tag or commit>  what the links lead to (default: HEAD, the newest version)
  --check                writes nothing; names what would be written, and fails if there is anything
  --help                 this text
`

const root = path.dirname(import.meta.dirname)

/** A mistake of the caller, reported in one sentence. */
class Refusal extends Error {}

try {
  main()
} catch (error) {
  if (!(error instanceof Refusal) && !error.code?.startsWith('ERR_PARSE_ARGS')) throw error
  console.error(error.message.replace(/\. To specify .*/s, '.'))
  process.exitCode = 2
}

function main() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      ref: { type: 'string', default: 'HEAD' },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return void process.stdout.write(help)
  if (positionals.length !== 1) throw new Refusal('Name one repository, such as https://github.com/owner/name.')
  const url = checkUrl(positionals[0])
  const ref = checkRef(values.ref)
  const texts = publishedFolders().flatMap((folder) => named(folder, url, ref))
  const changed = texts.filter(([file, text]) => read(file) !== text)
  for (const [file, text] of changed) {
    if (values.check) console.error(`${file} does not name ${url} at ${ref}.`)
    else writeFileSync(path.join(root, file), text)
  }
  if (values.check) process.exitCode = changed.length > 0 ? 1 : 0
  else console.log(`${changed.length} files name ${url} now.`)
}

function checkUrl(text) {
  const url = URL.parse(text)
  const [, owner, name] = /^\/([\w.-]+)\/([\w.-]+?)(?:\.git)?\/?$/.exec(url?.pathname ?? '') ?? []
  const isPlain = url?.protocol === 'https:' && `${url.username}${url.password}${url.search}${url.hash}` === ''
  if (!isPlain || name === undefined) {
    throw new Refusal(`"${text}" is not the address of a repository, such as https://github.com/owner/name.`)
  }
  return `${url.origin}/${owner}/${name}`
}

function checkRef(text) {
  if (/^[\w@][\w@./+-]*$/.test(text) && !text.includes('..') && !text.endsWith('/')) return text
  throw new Refusal(`"${text}" is neither a tag nor a commit.`)
}

function publishedFolders() {
  const folders = readdirSync(path.join(root, 'packages')).map((name) => `packages/${name}`)
  return folders.filter((folder) => existsSync(path.join(root, folder, 'package.json')) && !manifestOf(folder).private)
}

/** Returns the files of a package that name the repository, with their new texts. */
function named(folder, url, ref) {
  const manifest = manifestOf(folder)
  const readme = `${folder}/README.md`
  return [
    [`${folder}/package.json`, `${JSON.stringify(withRepository(manifest, folder, url), null, 2)}\n`],
    [
      readme,
      replaceLinks(read(readme), (target) => absolute(target, { folder, files: manifest.files ?? [], url, ref }))
    ]
  ]
}

/** Puts the three fields after the licence, whether they were there or not. */
function withRepository({ repository: _, homepage: __, bugs: ___, ...manifest }, folder, url) {
  const fields = Object.entries(manifest)
  const after = fields.findIndex(([name]) => name === 'license') + 1
  return Object.fromEntries(
    fields.toSpliced(
      after,
      0,
      ['repository', { type: 'git', url: `git+${url}.git`, directory: folder }],
      ['homepage', `${url}/tree/HEAD/${folder}#readme`],
      ['bugs', `${url}/issues`]
    )
  )
}

/** Returns the target unchanged if it leads to a published file or to another site; otherwise prefixed with the
 * repository. */
function absolute(target, { folder, files, url, ref }) {
  const [, beginning, suffix] = /^([^?#]*)(.*)$/s.exec(target)
  const earlier = pathAfterRef(beginning, url)
  if (earlier === undefined && (beginning === '' || /^(?:[a-z][\w+.-]*:|\/)/i.test(beginning))) return target
  const file = earlier ?? path.posix.normalize(path.posix.join(folder, decodeURIComponent(beginning)))
  if (file.startsWith('..') || !existsSync(path.join(root, file))) {
    throw new Refusal(`${folder}/README.md links to ${target}, which does not exist.`)
  }
  if (earlier === undefined && isPublished(path.posix.relative(folder, file), files)) return target
  const isFolder = statSync(path.join(root, file)).isDirectory()
  const kind = isFolder ? 'tree' : /\.(?:png|jpe?g|gif|svg|webp)$/i.test(file) ? 'raw' : 'blob'
  return `${url}/${kind}/${ref}/${encodeURI(file.replace(/\/$/, ''))}${suffix}`.replace(/\/\.?(?=[?#]|$)/, '')
}

/** Returns the path of a link that an earlier run wrote, with any ref. A ref may contain slashes, so the file has to
 * exist. */
function pathAfterRef(target, url) {
  if (!/^\/(?:blob|tree|raw)\//.test(target.startsWith(url) ? target.slice(url.length) : '')) return undefined
  const parts = decodeURIComponent(target.slice(url.length)).split('/').slice(3)
  const paths = parts.map((_, index) => parts.slice(index).join('/'))
  return paths.find((file) => file !== '' && existsSync(path.join(root, file)))
}

/** Whether npm publishes a file: the entries of `files`, and always these three. */
function isPublished(file, files) {
  if (/^(?:package\.json|README\.md|LICENSE)$/.test(file)) return true
  const isIn = (entry) =>
    entry.endsWith('*') ? file.startsWith(entry.slice(0, -1)) : file === entry || file.startsWith(`${entry}/`)
  return files.some((entry) => !entry.startsWith('!') && isIn(entry)) && !files.includes(`!${file}`)
}

function manifestOf(folder) {
  return JSON.parse(read(`${folder}/package.json`))
}

function read(file) {
  return readFileSync(path.join(root, file), 'utf8')
}
