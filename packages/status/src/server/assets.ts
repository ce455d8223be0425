import { readFile } from 'node:fs/promises'

/** The built files of the page. */
export interface Assets {
  readonly script: string
  readonly style: string
}

/** Reads the files that were built into this package. */
export async function readAssets(): Promise<Assets> {
  // This module lies in a folder of src, and in dist itself.
  const folder = import.meta.url.endsWith('.ts') ? '../../dist/page' : './page'
  const fileOf = (name: string): URL => new URL(`${folder}/${name}`, import.meta.url)
  const [script, style] = await Promise.all([readFile(fileOf('page.js'), 'utf8'), readFile(fileOf('page.css'), 'utf8')])
  return { script, style }
}
