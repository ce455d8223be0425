// Builds the page into dist/page, as one script and one style sheet. Does nothing if they are newer than the sources.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const folder = import.meta.dirname
const output = path.join(folder, '..', 'dist', 'page')
const stamp = path.join(folder, '..', '.cache', 'page.json')

const filesIn = (root) =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
const manifest = path.join(folder, '..', 'package.json')
const sources = [...filesIn(folder), ...filesIn(path.join(folder, '..', 'src', 'model')), manifest]

/** The sources and their times. A file that was deleted changes it too. */
const state = JSON.stringify(sources.toSorted().map((file) => [path.relative(folder, file), statSync(file).mtimeMs]))
const isBuilt = ['page.js', 'page.css'].every((name) => existsSync(path.join(output, name)))
const isCurrent = isBuilt && existsSync(stamp) && readFileSync(stamp, 'utf8') === state

if (!isCurrent) {
  const { build } = await import('vite')
  await build({
    configFile: false,
    root: folder,
    logLevel: 'warn',
    publicDir: false,
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir: output,
      emptyOutDir: true,
      target: 'es2022',
      modulePreload: false,
      cssCodeSplit: false,
      rolldownOptions: {
        input: path.join(folder, 'main.tsx'),
        output: { format: 'iife', entryFileNames: 'page.js', assetFileNames: 'page[extname]' }
      }
    }
  })
  mkdirSync(path.dirname(stamp), { recursive: true })
  writeFileSync(stamp, state)
}
