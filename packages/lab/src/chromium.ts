import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { downloadPackages } from './apt.js'
import { LabError } from './errors.js'
import { exec } from './exec.js'
import { cacheFolder, everyFolder, makePartial, type ToolsOptions } from './tools.js'

/** The browser with a font. The libraries that these need are added. */
const packages = ['chromium', 'chromium-common', 'fonts-dejavu-core']

/**
 * Finds Chromium in the cache folder, or unpacks it there from the packages of this system. Takes about 30 s and 130 MB the first
 * time. Installs nothing. Resolves with the path of a script, which starts it with its libraries and a font, in a host of a lab
 * too. `POSTERN_LAB_CHROMIUM` names a Chromium or Chrome that is installed, which is taken instead. Rejects with a LabError `LAB_TOOLS`, or with the signal's reason. Ubuntu has no package of Chromium.
 */
export async function prepareChromium(options: ToolsOptions = {}): Promise<string> {
  const installed = process.env['POSTERN_LAB_CHROMIUM']
  if (installed !== undefined && installed !== '') return installed
  const cache = cacheFolder()
  const mark = createHash('sha256').update(packages.join()).digest('hex').slice(0, 8)
  const folder = path.join(cache, `chromium-${process.arch}-${mark}`)
  const script = path.join(folder, 'chromium')
  if (existsSync(script)) return script
  const partial = await makePartial(cache)
  try {
    await unpack(partial, folder, options)
    // The first process wins; the copies of others are identical.
    await rename(path.join(partial, 'browser'), folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return script
}

async function unpack(partial: string, folder: string, { onProgress, signal }: ToolsOptions): Promise<void> {
  onProgress?.('Fetching Chromium: about 130 MB, once.')
  const [archives, root] = [path.join(partial, 'archives'), path.join(partial, 'browser')]
  for (const each of [archives, root]) await mkdir(each, { recursive: true })
  await downloadPackages(packages, archives, path.join(partial, 'apt'), { signal, onProgress })
  for (const archive of await readdir(archives)) {
    if (!archive.endsWith('.deb')) continue
    const { code, stderr } = await exec('dpkg-deb', ['-x', path.join(archives, archive), root], { signal })
    if (code !== 0) throw new LabError('LAB_TOOLS', `Could not unpack ${archive}: ${stderr.trim()}`)
  }
  await rm(path.join(root, 'usr', 'share', 'doc'), { recursive: true, force: true })
  const program = path.join('usr', 'lib', 'chromium', 'chromium')
  if (!existsSync(path.join(root, program)))
    throw new LabError('LAB_TOOLS', `The packages ${packages.join(', ')} do not contain Chromium.`)
  const folders = (await everyFolder(root)).map((each) => path.join(folder, path.relative(root, each)))
  const libraries = folders.filter((each) => each.slice(folder.length).includes('/lib/')).join(':')
  await writeFile(path.join(root, 'fonts.conf'), fontsConf(path.join(folder, 'usr', 'share', 'fonts')))
  const lines = [
    '#!/bin/sh',
    `export LD_LIBRARY_PATH='${libraries}' FONTCONFIG_FILE='${path.join(folder, 'fonts.conf')}'`,
    `exec '${path.join(folder, program)}' "$@"`
  ]
  // The script comes last: it shows that the folder is complete.
  await writeFile(path.join(root, 'chromium'), `${lines.join('\n')}\n`, { mode: 0o755 })
}

const fontsConf = (folder: string): string => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<dir>${folder}</dir>
<cachedir prefix="xdg">fontconfig</cachedir>
<alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>ui-monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
<alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
`
