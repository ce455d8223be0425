// Writes the API reports: the public signatures of every published package, one file for each module that it exports, in
// packages/<name>/etc. API Extractor takes them from the built declarations, with the types that an exported one refers to.
//
//   npm run api                                           builds, and accepts what has changed
//   node scripts/run.mjs --build node scripts/api.mjs --check    writes nothing; names what has changed, and fails
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CompilerState, Extractor, ExtractorConfig } from '@microsoft/api-extractor'
import { structuredPatch } from 'diff'

const root = path.dirname(import.meta.dirname)
const read = (...parts) => readFileSync(path.join(...parts), 'utf8').replaceAll('\r\n', '\n') // as Git on Windows may write them

/** Returns the modules with types that the packages of a repository export. The paths are relative to its root. */
export function modules(repository = root) {
  return readdirSync(path.join(repository, 'packages')).flatMap((folder) => {
    const manifest = JSON.parse(read(repository, `packages/${folder}/package.json`))
    return Object.entries(manifest.exports ?? {}).flatMap(([subpath, { types }]) => {
      if (types === undefined) return []
      const part = subpath.slice(1).replaceAll('/', '-') // '' for the main module, '-server' for ./server
      return [
        {
          name: manifest.name + subpath.slice(1),
          manifest,
          folder: `packages/${folder}`,
          types: path.posix.join('packages', folder, types),
          report: `packages/${folder}/etc/${folder}${part}.api.md`
        }
      ]
    })
  })
}

/**
 * Returns the modules whose report is not what the build says, each with the lines that differ. Reports of modules that are no
 * longer exported are among them; their text is undefined.
 */
export function changes(repository = root) {
  const current = reports(repository)
  const kept = findReports(repository).map((report) => [report, read(repository, report)])
  const before = new Map(kept)
  const changed = current
    .filter(({ report, text }) => before.get(report) !== text)
    .map(({ name, report, text }) => ({ name, report, text, lines: linesBetween(before.get(report) ?? '', text) }))
  const gone = kept
    .filter(([report]) => current.every((each) => each.report !== report))
    .map(([report, text]) => ({
      name: path.basename(report, '.api.md'),
      report,
      text: undefined,
      lines: linesBetween(text, '')
    }))
  return [...changed, ...gone]
}

/** Returns what to tell about a change: the module, its lines, and how to accept it. */
export function tell({ name, lines }) {
  return `The public signatures of ${name} changed; if that is meant, accept it with "npm run api", and describe it in a changeset:\n${lines.join('\n')}`
}

/** Returns the report of every module. All modules are read in one program of TypeScript, which takes two seconds. */
function reports(repository) {
  const cache = path.join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const out = mkdtempSync(path.join(cache, 'api-'))
  try {
    const all = modules(repository)
    const configs = all.map((each) => configOf(repository, each, out))
    const silence = (message) => {
      message.handled = true // the compiler has checked the declarations, and another house test asks for docstrings
    }
    const compilerState = CompilerState.create(configs[0], {
      additionalEntryPoints: configs.map((config) => config.mainEntryPointFilePath)
    })
    return all.map((each, index) => {
      Extractor.invoke(configs[index], { compilerState, localBuild: true, messageCallback: silence })
      return { ...each, text: read(configs[index].reportFilePath) }
    })
  } finally {
    rmSync(out, { recursive: true })
  }
}

function configOf(repository, { folder, manifest, types, report }, out) {
  const projectFolder = path.join(repository, folder)
  const entry = path.join(repository, types)
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder,
      mainEntryPointFilePath: entry,
      newlineKind: 'lf',
      compiler: { overrideTsconfig: { compilerOptions: compilerOptions(), files: [entry] } },
      apiReport: {
        enabled: true,
        reportFileName: path.basename(report, '.api.md'),
        reportFolder: out,
        reportTempFolder: path.join(out, 'temp'),
        includeForgottenExports: true // types that are not exported, but reached from those that are
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: { extractorMessageReporting: { default: { logLevel: 'none' } } } // no warnings in the reports
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: path.join(projectFolder, 'package.json'),
    packageJson: manifest
  })
}

/** Returns the options that a strict user of the packages has. */
function compilerOptions() {
  return {
    strict: true,
    target: 'ES2023',
    lib: ['ES2024'],
    module: 'NodeNext',
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [path.join(root, 'node_modules', '@types')]
  }
}

function findReports(repository) {
  return readdirSync(path.join(repository, 'packages')).flatMap((folder) => {
    const etc = path.join(repository, 'packages', folder, 'etc')
    return existsSync(etc) ? readdirSync(etc).map((file) => `packages/${folder}/etc/${file}`) : []
  })
}

/** Returns the lines that differ, with a sign before each, and a few around them. */
function linesBetween(before, after) {
  const { hunks } = structuredPatch('', '', before, after, '', '', { context: 3 })
  return hunks.flatMap(({ lines }) => lines)
}

if (process.argv[1] === import.meta.filename) {
  const found = changes()
  if (process.argv.includes('--check')) {
    for (const each of found) console.error(tell(each))
    process.exitCode = found.length > 0 ? 1 : 0
  } else {
    for (const { report, text } of found) {
      const file = path.join(root, report)
      mkdirSync(path.dirname(file), { recursive: true })
      if (text === undefined) rmSync(file)
      else writeFileSync(file, text)
    }
    console.log(found.length > 0 ? found.map(({ report }) => report).join('\n') : 'all up to date')
  }
}
