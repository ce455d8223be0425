import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { packages, read, root } from './workspace.js'

/** Returns what a source imports at run time, without types. */
function importsOf(file: string): readonly string[] {
  const { outputText } = ts.transpileModule(read(file), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ESNext }
  })
  return ts.preProcessFile(outputText).importedFiles.map(({ fileName }) => fileName)
}

it.each(['interface', 'core'])(
  '@postern/%s needs no module of Node, so that it can be bundled for browsers',
  (folder) => {
    const sources = readdirSync(join(root, 'packages', folder, 'src'), { recursive: true, encoding: 'utf8' })
    const imported = sources
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => importsOf(`packages/${folder}/src/${file}`))
    const { dependencies = {} } = packages.find((each) => each.folder === folder)?.manifest ?? {}
    expect(imported.length).toBeGreaterThan(5)
    expect(imported.filter((name) => !name.startsWith('.') && name !== '@postern/interface')).toEqual([])
    expect(Object.keys(dependencies).filter((name) => name !== '@postern/interface')).toEqual([])
  }
)
