// Writes the site of the documentation: every package, guide, page of reference and decision, as TypeDoc renders them.
//
//   npm run docs:site                                     builds, and writes .cache/site
//   node scripts/run.mjs --build node scripts/site/build.mjs [folder]    writes another folder
//
// Nothing is fetched. A link that leads nowhere, a name that has no documentation, and every other warning is an error.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { Application, PackageJsonReader, TSConfigReader, TypeDocReader } from 'typedoc'
import { sectionsOf } from '../docs-index.mjs'
import { linksOf } from '../markdown-links.mjs'
import { brokenLinks } from './broken-links.mjs'
import { describePages, dropHeadings, findPages, leadOut, nameMainModules } from './pages.mjs'
import { defineRouter } from './router.mjs'
import { spellOut } from './unions.mjs'

const root = path.dirname(path.dirname(import.meta.dirname))
const out = path.resolve(process.argv[2] ?? path.join(root, '.cache', 'site'))
const read = (file) => readFileSync(path.join(root, file), 'utf8')

process.exitCode = (await main()) ? 0 : 1

/** Resolves with true if there is nothing to complain about. */
async function main() {
  process.chdir(root) // TypeDoc shows names of files relative to it
  const sections = sectionsOf(read('docs/README.md'))
  const pages = findPages(root, sections)
  const repository = findRepository()
  const app = await Application.bootstrap(optionsOf(pages, repository), [
    new TypeDocReader(),
    new PackageJsonReader(),
    new TSConfigReader()
  ])
  defineRouter(app, root)
  spellOut(app)
  describePages(app, root, pages)
  const project = await app.convert()
  if (project === undefined) return false
  app.validate(project)
  dropHeadings(project)
  nameMainModules(project)
  leadOut(project, root, repository)
  rmSync(out, { recursive: true, force: true })
  await app.generateOutputs(project)
  copySources()
  const broken = brokenLinks(out)
  for (const { page, target } of broken) console.error(`${page} links to ${target}, which is not in the site.`)
  const complaints = app.logger.errorCount + app.logger.warningCount + broken.length
  console.log(complaints === 0 ? `The site is in ${path.relative(root, out)}.` : `The site has ${complaints} mistakes.`)
  return complaints === 0
}

/**
 * Returns the address under which the files of this commit are found, or undefined: the one that package.json names, else the
 * repository of the workflow that runs this.
 */
function findRepository() {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name, GITHUB_SHA: commit = 'HEAD' } = process.env
  const { repository } = JSON.parse(read('package.json'))
  const url = repository || (server && name ? `${server}/${name}` : '')
  return url === '' ? undefined : { url, commit }
}

function optionsOf(pages, repository) {
  const sources = repository
    ? { disableGit: true, sourceLinkTemplate: `${repository.url}/blob/${repository.commit}/{path}#L{line}` }
    : { disableSources: true }
  return {
    name: 'Postern',
    entryPointStrategy: 'packages',
    // A package that is only a command has no modules.
    entryPoints: readdirSync(path.join(root, 'packages'))
      .filter((name) => existsSync(path.join(root, 'packages', name, 'src')))
      .map((name) => `packages/${name}`),
    packageOptions: {
      ...sources,
      basePath: root,
      displayBasePath: root,
      skipErrorChecking: true, // the build has checked
      validation: { notExported: true, notDocumented: true, invalidLink: true, rewrittenLink: true },
      requiredToBeDocumented: ['Function', 'Class', 'Interface', 'TypeAlias', 'Variable', 'Method']
    },
    ...sources,
    basePath: root,
    readme: 'README.md',
    projectDocuments: [...pages.keys()],
    groupOrder: [...new Set(pages.values().map(({ section }) => section)), '*'],
    navigation: { includeGroups: true, includeCategories: false, includeFolders: true },
    searchInDocuments: true,
    sort: ['documents-first', 'alphabetical-ignoring-documents'],
    router: 'postern',
    out,
    hideGenerator: true,
    githubPages: true,
    // Folders are no valid paths to TypeDoc; leadOut takes them, and the check of the written files all that is left.
    validation: { invalidLink: true, invalidPath: false, rewrittenLink: true }
  }
}

/** Copies llms.txt and what it links to, so that programs find the text of each page beside its HTML. */
function copySources() {
  for (const file of ['llms.txt', ...linksOf(read('llms.txt'))]) {
    mkdirSync(path.dirname(path.join(out, file)), { recursive: true })
    cpSync(path.join(root, file), path.join(out, file))
  }
}
