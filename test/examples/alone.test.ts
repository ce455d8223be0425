import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { canRunLab, openLab } from '@postern/lab'
import ts from 'typescript'
import { expect, it } from 'vitest'

const support = await canRunLab()
const skipped = support.ok ? '' : ` (${support.reason})`

it.skipIf(!support.ok).each(['pcp', 'nat-pmp'])(
  `the program that uses %s alone maps a port and releases it${skipped}`,
  { timeout: 60_000 },
  async (name) => {
    const readme = readFileSync(new URL(`../../packages/${name}/README.md`, import.meta.url), 'utf8')
    const text = readme.split('A complete program:')[1]?.split('```ts\n')[1]?.split('```')[0] ?? ''
    // Run it in a folder from which the packages are found.
    const folder = mkdtempSync(join(import.meta.dirname, '.alone-'))
    try {
      const file = join(folder, 'alone.mjs')
      const { outputText } = ts.transpileModule(text, {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
      })
      writeFileSync(file, outputText)
      await using lab = await openLab('home')
      const { stdout } = await lab.run('home', [process.execPath, file], { timeoutMs: 20_000 })
      expect(stdout).toContain("[ '/ip4/11.0.0.2/tcp/8080' ]")
      expect(await lab.rules()).toEqual([])
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
)
