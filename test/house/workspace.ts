import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

export const root = join(import.meta.dirname, '..', '..')
export const read = (file: string): string => readFileSync(join(root, file), 'utf8')
export const readJson = (file: string): unknown => JSON.parse(read(file))

export interface Manifest {
  readonly [field: string]: unknown
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** A published package. */
export interface Package {
  /** Its folder in packages/, which is its name without the scope. */
  readonly folder: string
  readonly manifest: Manifest
}

/** The package without a scope: three lines that start the program of `@postern/cli`. It has no module, and tests of its own. */
export const shortName = 'postern'

/** The packages with modules. */
export const packages: readonly Package[] = readdirSync(join(root, 'packages'))
  .filter((folder) => folder !== shortName && existsSync(join(root, 'packages', folder, 'package.json')))
  .map((folder) => ({ folder, manifest: readJson(`packages/${folder}/package.json`) as Manifest }))

/** Further modules that a package exports beside its main one: `server` for `@postern/relay/server`. */
const subpaths: Readonly<Record<string, readonly string[]>> = { relay: ['server'], witness: ['server'] }

/** Returns the modules that a package exports, as paths in `src` and `dist` without an extension. The first is the main one. */
export const modulesOf = ({ folder }: Pick<Package, 'folder'>): readonly string[] => [
  'index',
  ...(subpaths[folder] ?? []).map((name) => `${name}/index`)
]

/** Returns the files with the types of the modules that a package exports. */
export const entriesOf = (each: Pick<Package, 'folder'>): readonly string[] =>
  modulesOf(each).map((name) => join(root, 'packages', each.folder, 'dist', `${name}.d.ts`))

/** Returns the TypeScript files of a package's src, relative to the root. */
export const sourcesOf = ({ folder }: Package): readonly string[] =>
  readdirSync(join(root, 'packages', folder, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `packages/${folder}/src/${file}`)
    .toSorted()

/** The compiler options of the packages, for checks against their build. */
export const compilerOptions: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2024.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: true,
  types: ['node'],
  typeRoots: [join(root, 'node_modules', '@types')],
  paths: { '@postern/*': [join(root, 'packages', '*', 'dist', 'index.d.ts')] }
}
