import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { apt, downloadPackages } from './apt.js'
import { LabError } from './errors.js'
import { exec } from './exec.js'
import { cacheFolder, everyFolder, makePartial, type ToolsOptions } from './tools.js'

/** The release of Debian with a miniupnpd that maps ports although its WAN address is private (2.3.10 or newer). */
const suite = 'forky'
const mirror = 'http://deb.debian.org/debian'
/** The daemon with every library that it loads, the C library too: that of this system may be older. */
const packages = ['miniupnpd-nftables', 'libmnl0', 'libnftnl11', 'libc6']
const keyringPackage = 'debian-archive-keyring'

/** The name of the program in the folder that `prepareNewerDaemon` returns. */
export const newerDaemon: string = 'miniupnpd-newer'

/**
 * Finds the newer miniupnpd in the cache folder, or unpacks it there: from a newer Debian, whatever this system is. apt
 * verifies the packages with the keys of Debian. Takes about 4 s, and a millisecond the second time. Resolves with a
 * folder for the PATH. Rejects with a LabError `LAB_TOOLS`, or with the signal's reason.
 */
export async function prepareNewerDaemon(options: ToolsOptions = {}): Promise<string> {
  const mark = createHash('sha256')
    .update([suite, ...packages].join())
    .digest('hex')
    .slice(0, 8)
  const cache = cacheFolder()
  const folder = path.join(cache, `miniupnpd-${suite}-${process.arch}-${mark}`)
  const bin = path.join(folder, 'bin')
  if (existsSync(bin)) return bin
  const partial = await makePartial(cache)
  try {
    await unpack(partial, folder, options)
    // The first process wins; the copies of others are identical.
    await rename(path.join(partial, 'daemon'), folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return bin
}

async function unpack(partial: string, folder: string, { onProgress, signal }: ToolsOptions): Promise<void> {
  onProgress?.(`Fetching a newer miniupnpd from Debian ${suite}: about 20 MB, once.`)
  const state = path.join(partial, 'apt')
  const [archives, root] = [path.join(partial, 'archives'), path.join(partial, 'root')]
  const [bin, lib] = [path.join(partial, 'daemon', 'bin'), path.join(partial, 'daemon', 'lib')]
  const lists = path.join(state, 'lists', 'partial')
  for (const each of [archives, root, bin, lib, lists, path.join(state, 'cache', 'archives', 'partial')])
    await mkdir(each, { recursive: true })
  const keyring = await findKeyring(partial, { onProgress, signal })
  const sources = path.join(state, 'sources.list')
  await writeFile(sources, `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`)
  await writeFile(path.join(state, 'status'), '')
  const apart = [
    `-oDir::State=${state}`,
    `-oDir::Cache=${path.join(state, 'cache')}`,
    `-oDir::State::status=${path.join(state, 'status')}`,
    `-oDir::Etc::sourcelist=${sources}`,
    '-oDir::Etc::sourceparts=-',
    '-oAPT::Sandbox::User=',
    '-oAcquire::Languages=none',
    '-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false'
  ]
  for (const command of [['update'], ['download', ...packages]]) {
    const { code, stderr } = await apt('apt-get', [...apart, '-q', ...command], archives, signal)
    if (code !== 0)
      throw new LabError('LAB_TOOLS', `Could not fetch miniupnpd of Debian ${suite} from ${mirror}: ${stderr.trim()}`)
  }
  await unpackAll(archives, root, signal)
  await collectFiles(root, bin, lib, path.join(folder, 'lib'))
}

async function unpackAll(archives: string, root: string, signal: AbortSignal | undefined): Promise<void> {
  for (const archive of await readdir(archives)) {
    if (!archive.endsWith('.deb')) continue
    const { code, stderr } = await exec('dpkg-deb', ['-x', path.join(archives, archive), root], { signal })
    if (code !== 0) throw new LabError('LAB_TOOLS', `Could not unpack ${archive}: ${stderr.trim()}`)
  }
}

/** Resolves with the keys of Debian's archive: those of this system, or else those in the package that other systems
 * have too. */
async function findKeyring(partial: string, options: ToolsOptions): Promise<string> {
  const names = ['debian-archive-keyring.gpg', 'debian-archive-keyring.pgp']
  const among = (folder: string): string | undefined =>
    names.map((name) => path.join(folder, 'usr', 'share', 'keyrings', name)).find((file) => existsSync(file))
  const installed = among('/')
  if (installed !== undefined) return installed
  const [archives, root] = [path.join(partial, 'keyring'), path.join(partial, 'keys')]
  for (const each of [archives, root]) await mkdir(each, { recursive: true })
  await downloadPackages([keyringPackage], archives, path.join(partial, 'apt-keyring'), options)
  await unpackAll(archives, root, options.signal)
  const unpacked = among(root)
  if (unpacked === undefined) throw new LabError('LAB_TOOLS', `${keyringPackage} contains no keys of Debian's archive.`)
  return unpacked
}

/** Copies the program and its libraries, and writes the script that starts it with them.
 *
 * @param finalLib - the folder of the libraries once the whole is in its place */
async function collectFiles(root: string, bin: string, lib: string, finalLib: string): Promise<void> {
  const folders = await everyFolder(root)
  const program = folders
    .filter((folder) => folder.endsWith('bin'))
    .map((folder) => path.join(folder, 'miniupnpd'))
    .find((file) => existsSync(file))
  for (const folder of folders.filter((each) => /\/lib(\/|$)/.test(each.slice(root.length)))) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      // `copyFile` follows the links from `libmnl.so.0` to the file.
      if (/^(lib(c|m|mnl|nftnl)\.so\.\d+|ld-linux.*\.so\.\d+)$/.test(entry.name))
        await copyFile(path.join(folder, entry.name), path.join(lib, entry.name))
    }
  }
  const loader = (await readdir(lib)).find((name) => name.startsWith('ld-linux'))
  if (program === undefined || loader === undefined)
    throw new LabError('LAB_TOOLS', `The packages ${packages.join(', ')} do not contain miniupnpd and its loader.`)
  await copyFile(program, path.join(lib, 'miniupnpd'))
  const script = `#!/bin/sh\nexec '${finalLib}/${loader}' --library-path '${finalLib}' '${finalLib}/miniupnpd' "$@"\n`
  for (const name of [loader, 'miniupnpd']) await chmod(path.join(lib, name), 0o755)
  await writeFile(path.join(bin, newerDaemon), script, { mode: 0o755 })
}
