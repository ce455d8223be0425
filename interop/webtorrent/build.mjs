// Installs WebTorrent into .cache/webtorrent, with the packed packages of this repository in place of
// @silentbot1/nat-api, and without install scripts. What comes from the registry is installed again only if the lock
// file has changed. Rejects if the registry or one of the packages cannot be had.
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

const root = path.join(import.meta.dirname, '..', '..')
const cache = path.join(root, '.cache')
const folder = path.join(cache, 'webtorrent')
const run = promisify(execFile)

/** The programs, and what decides which packages of the registry are installed. */
const sources = ['package.json', 'package-lock.json', 'seed.mjs', 'download.mjs']

/**
 * @param {(line: string) => void} [onProgress] told one line before something slow
 * @returns {Promise<string>} the folder with the programs
 */
export async function buildWebTorrent(onProgress = () => {}) {
  await mkdir(folder, { recursive: true })
  for (const name of sources) await cp(path.join(import.meta.dirname, name), path.join(folder, name))
  await install(onProgress)
  await replaceNatApi()
  return folder
}

/** @param {(line: string) => void} onProgress */
async function install(onProgress) {
  const wanted = await readFile(path.join(folder, 'package-lock.json'), 'utf8')
  const stamp = path.join(folder, 'installed')
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return
  onProgress('Installing WebTorrent: 40 MB, some seconds the first time.')
  // What the lock file has in its place.
  await mkdir(path.join(folder, 'nat-api'), { recursive: true })
  const placeholder = JSON.stringify({ name: '@silentbot1/nat-api', version: '0.4.9' })
  await writeFile(path.join(folder, 'nat-api', 'package.json'), placeholder)
  const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
  await run('npm', ['ci', ...options, `--cache=${path.join(cache, 'npm')}`], { cwd: folder, timeout: 300_000 })
  await writeFile(stamp, wanted)
}

/** Unpacks our packages where npm has linked @silentbot1/nat-api to. */
async function replaceNatApi() {
  const fresh = path.join(folder, `nat-api.${process.pid}`)
  await rm(fresh, { recursive: true, force: true })
  const scope = path.join(fresh, 'node_modules', '@postern')
  const tarballs = path.join(fresh, 'tarballs')
  await mkdir(tarballs, { recursive: true })
  const pack = ['--filter-prod', '@postern/nat-api...', '--recursive', 'pack', '--pack-destination', tarballs]
  await run('pnpm', pack, { cwd: root })
  for (const tarball of await readdir(tarballs)) {
    const [, name = ''] = /^postern-(.+)-\d+\.\d+\.\d+\.tgz$/.exec(tarball) ?? []
    const target = name === 'nat-api' ? fresh : path.join(scope, name)
    await mkdir(target, { recursive: true })
    await run('tar', ['-xzf', path.join(tarballs, tarball), '--strip-components=1', '-C', target])
    await checkDependencies(path.join(target, 'package.json'))
  }
  await rm(path.join(folder, 'nat-api'), { recursive: true })
  await rename(fresh, path.join(folder, 'nat-api'))
}

/**
 * What our packages need from the registry is in the lock file here, in the same version.
 *
 * @param {string} manifest
 */
async function checkDependencies(manifest) {
  const { name, dependencies = {} } = JSON.parse(await readFile(manifest, 'utf8'))
  const { dependencies: locked } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'))
  for (const [other, version] of Object.entries(dependencies)) {
    if (other.startsWith('@postern/') || locked[other] === version) continue
    throw new Error(`${name} needs ${other} ${version}: change it in interop/webtorrent/package.json, and lock it`)
  }
}
