import { join } from 'node:path'
import { errorCodes } from '@postern/interface'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { compilerOptions, packages, read, root } from './workspace.js'

/** What examples may use without a declaration. They import or declare everything else. */
const given = `
declare global {
  const server: import('node:http').Server
  const socket: import('node:dgram').Socket
  const host: import('@postern/interface').Host
  const network: import('@postern/interface').Network
  const clock: import('@postern/interface').Clock
  const log: import('@postern/interface').Logger
  const key: Uint8Array
  const signal: AbortSignal
  function mapPort8080(options: { gateway: string }): Promise<void>
}
export {}
`

interface Example {
  readonly readme: string
  /** The index of its first line in the README, from 0. */
  readonly line: number
  readonly text: string
}

function examplesOf(readme: string): readonly Example[] {
  const text = read(readme)
  return [...text.matchAll(/^```(?:js|ts|javascript|typescript)\n([^]*?)^```/gm)].map((match) => ({
    readme,
    line: text.slice(0, match.index).split('\n').length,
    text: match[1] ?? ''
  }))
}

/** Returns the imports of a text, one name each. */
function importsOf(text: string): ReadonlyMap<string, string> {
  const source = ts.createSourceFile('example.mts', text, ts.ScriptTarget.Latest)
  const names = source.statements.flatMap((each) => {
    const bindings = ts.isImportDeclaration(each) ? each.importClause?.namedBindings : undefined
    if (!ts.isImportDeclaration(each) || bindings === undefined || !ts.isNamedImports(bindings)) return []
    const from = ts.isStringLiteral(each.moduleSpecifier) ? each.moduleSpecifier.text : ''
    return bindings.elements.map(({ name }) => [name.text, `import { ${name.text} } from '${from}'`] as const)
  })
  return new Map(names)
}

/** Returns the text of an example with the imports of those before it in the same README. */
function textOf({ readme, line, text }: Example): string {
  const own = importsOf(text)
  const before = examples.filter((each) => each.readme === readme && each.line < line)
  const carried = new Map(before.flatMap((each) => [...importsOf(each.text)]).filter(([name]) => !own.has(name)))
  return `${[...carried.values()].join(';')};${text}\nexport {}\n`
}

/** Returns the examples of a guide as one program, in which each goes on from those before it. */
function joined(readme: string): Example {
  const lines: string[] = []
  for (const { line, text } of examplesOf(readme)) {
    while (lines.length < line) lines.push('')
    lines.push(...text.split('\n'))
  }
  return { readme, line: 0, text: lines.join('\n') }
}

const readmes = packages.map(({ folder }) => `packages/${folder}/README.md`)
const guides = ['libp2p', 'plain-node', 'bun-and-deno', 'watching-numbers'].map((name) => `docs/guides/${name}.md`)
const examples = [...readmes.flatMap(examplesOf), ...guides.map(joined)]
// The files are beside this one, so that vitest and Node's types are found; examples with libp2p are where libp2p is
// installed.
const fileOf = (example: Example): string =>
  join(
    example.readme === 'docs/guides/libp2p.md' ? join(root, 'packages', 'libp2p', 'test') : import.meta.dirname,
    `example-${examples.indexOf(example)}.mts`
  )
const virtual = new Map([
  [join(import.meta.dirname, 'given.d.mts'), given],
  // The example in the README of the suite tests the strategy of the interface's README.
  [
    join(import.meta.dirname, 'firewall.ts'),
    examples.find(({ readme }) => readme === 'packages/interface/README.md')?.text ?? ''
  ],
  ...examples.map((example) => [fileOf(example), textOf(example)] as const)
])

/** All examples are checked in one program, which takes a second. */
function check(): ts.Program {
  const host = ts.createCompilerHost(compilerOptions)
  const { fileExists, readFile } = host
  host.fileExists = (file) => virtual.has(file) || fileExists(file)
  host.readFile = (file) => virtual.get(file) ?? readFile(file)
  const { getSourceFile } = host
  host.getSourceFile = (file, options, ...rest) => {
    const text = virtual.get(file)
    return text === undefined ? getSourceFile(file, options, ...rest) : ts.createSourceFile(file, text, options)
  }
  return ts.createProgram([...virtual.keys()], compilerOptions, host)
}

const program = check()

function complaintsAbout(example: Example): readonly string[] {
  const source = program.getSourceFile(fileOf(example))
  return ts.getPreEmitDiagnostics(program, source).map(({ file, start = 0, messageText }) => {
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line
    return `${example.readme}:${example.line + line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
  })
}

describe.each(packages)('the README of $manifest.name', ({ folder, manifest }) => {
  const readme = `packages/${folder}/README.md`
  const text = read(readme)

  it('the README has an example that compiles', () => {
    const own = examples.filter((example) => example.readme === readme)
    expect(own.length > 0 || folder === 'cli').toBe(true)
    expect(own.flatMap(complaintsAbout)).toEqual([])
  })

  it('the README has the name, how to install the package, when not to use it, and the licence', () => {
    expect(text).toMatch(new RegExp(`^# ${manifest.name}\n`))
    expect(text).toMatch(new RegExp(`npm install .*${manifest.name}`))
    expect(text).toMatch(/When not|Do not use it/)
    expect(text.trimEnd()).toMatch(/Apache-2\.0 OR MIT$/)
  })

  it('the README says why each dependency is there', () => {
    const silent = Object.keys(manifest.dependencies ?? {}).filter((name) => !text.includes(`\`${name}\``))
    expect(silent).toEqual([])
  })

  it('the README names no error code that does not exist', () => {
    const codes = [...text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, code = '']) => code)
    const known = Object.keys(errorCodes)
    const unknown = codes.filter(
      (code) => !known.includes(code) && !/^(LAB|POSTERN|XDG|NO_COLOR|SSH|BORE_SECRET)/.test(code)
    )
    expect(unknown).toEqual([])
  })
})

it.each(guides)('%s has examples that compile', (page) => {
  const own = examples.filter(({ readme }) => readme === page)
  expect(own.length).toBeGreaterThan(0)
  expect(own.flatMap(complaintsAbout)).toEqual([])
})

/** The option types of the packages, and the files that declare them. */
const options: readonly (readonly [folder: string, file: string, type: string])[] = [
  ['manual', 'options.ts', 'ManualOptions'],
  ['stun', 'options.ts', 'StunOptions'],
  ['witness', 'options.ts', 'WitnessOptions'],
  ['witness', 'server/options.ts', 'WitnessServerOptions'],
  ['ssh', 'options.ts', 'SshOptions'],
  ['nat-pmp', 'options.ts', 'NatPmpOptions'],
  ['pcp', 'options.ts', 'PcpOptions'],
  ['upnp', 'options.ts', 'UpnpOptions'],
  ['autonat', 'options.ts', 'AutonatOptions'],
  ['autonat', 'server/options.ts', 'AutonatServerInit'],
  ['core', 'options.ts', 'TraversalOptions'],
  ['core', 'discovery/wanted-endpoints.ts', 'WantOptions'],
  ['autonat', 'options.ts', 'AutonatOptions'],
  ['autonat', 'server/options.ts', 'AutonatServerInit'],
  ['relay', 'options.ts', 'RelayOptions'],
  ['relay', 'server/options.ts', 'RelayServerInit'],
  ['hole-punch', 'options.ts', 'HolePunchOptions'],
  ['lab', 'tiers.ts', 'HomeOptions'],
  ['libp2p', 'nat-traversal.ts', 'NatTraversalInit'],
  ['libp2p', 'port-mapping-client.ts', 'PortMappingClientInit'],
  ['node', 'expose-options.ts', 'ExposeOptions'],
  ['node', 'store/file-store.ts', 'FileStoreOptions'],
  ['nat-api', 'options.ts', 'NatAPIOptions'],
  ['nat-api', 'port-arguments.ts', 'PortOptions']
]

it.each(options)('the README of %s has a row for each option in %s: %s', (folder, file, type) => {
  const source = ts.createSourceFile(file, read(`packages/${folder}/src/${file}`), ts.ScriptTarget.Latest, true)
  const declared = source.statements.find((each) => ts.isInterfaceDeclaration(each) && each.name.text === type)
  const members = declared !== undefined && ts.isInterfaceDeclaration(declared) ? declared.members : []
  const rows = read(`packages/${folder}/README.md`).match(/^\|[^|]*\|/gm) ?? []
  const missing = members
    .map((member) => `\`${member.name?.getText(source)}\``)
    .filter((name) => !rows.some((row) => row.includes(name)))
  expect(members.length).toBeGreaterThan(0)
  expect(missing).toEqual([])
})
