import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { downloadPackages } from './apt.js'
import { LabError } from './errors.js'
import { exec } from './exec.js'
import { cacheFolder, makePartial, type ToolsOptions } from './tools.js'

/** Both programs are in this package. They are linked statically; what else it depends on is for its web pages. */
const packages = ['prometheus']
const programs = ['prometheus', 'promtool']

/** The programs of Prometheus. */
export interface Prometheus {
  /** The path of the server. */
  readonly prometheus: string
  /** The path of the program that checks rules and configurations, and that runs the tests of rules. */
  readonly promtool: string
}

/**
 * Finds Prometheus in the cache folder, or unpacks it there from the packages of this system; apt verifies them with the
 * keys of the distribution. Takes about 5 s and 19 MB the first time. Installs nothing. `POSTERN_LAB_PROMETHEUS` names a
 * folder with `prometheus` and `promtool` that are installed, which are taken instead. Rejects with a LabError
 * `LAB_TOOLS`, or with the signal's reason.
 */
export async function preparePrometheus(options: ToolsOptions = {}): Promise<Prometheus> {
  const installed = process.env['POSTERN_LAB_PROMETHEUS']
  if (installed !== undefined && installed !== '') return programsIn(path.resolve(installed))
  const cache = cacheFolder()
  const mark = createHash('sha256')
    .update([...packages, ...programs].join())
    .digest('hex')
    .slice(0, 8)
  const folder = path.join(cache, `prometheus-${process.arch}-${mark}`)
  if (existsSync(folder)) return programsIn(folder)
  const partial = await makePartial(cache)
  try {
    await unpack(partial, options)
    // The first process wins; the copies of others are identical.
    await rename(path.join(partial, 'prometheus'), folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return programsIn(folder)
}

function programsIn(folder: string): Prometheus {
  for (const program of programs) {
    if (!existsSync(path.join(folder, program))) throw new LabError('LAB_TOOLS', `There is no ${program} in ${folder}.`)
  }
  return { prometheus: path.join(folder, 'prometheus'), promtool: path.join(folder, 'promtool') }
}

async function unpack(partial: string, { onProgress, signal }: ToolsOptions): Promise<void> {
  onProgress?.('Fetching Prometheus: about 19 MB, once.')
  const [archives, root] = [path.join(partial, 'archives'), path.join(partial, 'root')]
  const kept = path.join(partial, 'prometheus')
  for (const each of [archives, root, kept]) await mkdir(each, { recursive: true })
  await downloadPackages(packages, archives, path.join(partial, 'apt'), { signal, onProgress })
  for (const archive of await readdir(archives)) {
    if (!archive.startsWith('prometheus_')) continue
    const { code, stderr } = await exec('dpkg-deb', ['-x', path.join(archives, archive), root], { signal })
    if (code !== 0) throw new LabError('LAB_TOOLS', `Could not unpack ${archive}: ${stderr.trim()}`)
  }
  for (const program of programs) {
    const from = path.join(root, 'usr', 'bin', program)
    if (!existsSync(from))
      throw new LabError('LAB_TOOLS', `The package ${packages.join(', ')} does not contain ${program}.`)
    await rename(from, path.join(kept, program))
  }
}
