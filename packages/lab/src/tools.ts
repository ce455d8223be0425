import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { downloadPackages } from './apt.js'
import { LabError } from './errors.js'
import { exec } from './exec.js'

/** The folders of the lab's programs and their libraries. */
export interface Tools {
  /** A folder for the front of PATH. */
  readonly bin: string
  /** A folder for the front of LD_LIBRARY_PATH. */
  readonly lib: string
  /** A folder for the end of PATH, with programs that only some topologies need. @default none */
  readonly more?: string
}

/** Options of `prepareTools()`, `canRunLab()` and `canDelay()`. */
export interface ToolsOptions {
  /** Aborts the preparation. */
  readonly signal?: AbortSignal | undefined
  /** Called with one line at the start of each slow step. */
  readonly onProgress?: ((line: string) => void) | undefined
}

const packages = [
  'miniupnpd-nftables',
  'nftables',
  'iproute2',
  'natpmpc',
  'miniupnpc',
  'coturn',
  'ethtool',
  'openssh-server',
  'openssh-client',
  'dnsmasq-base',
  'tayga'
]
const programs = [
  'miniupnpd',
  'nft',
  'ip',
  'ss',
  'natpmpc',
  'upnpc',
  'turnserver',
  'ethtool',
  'ssh',
  'sshd',
  'ssh-keygen',
  'ssh-agent',
  'ssh-add',
  'dnsmasq',
  'tayga'
]

/**
 * Finds the lab's tools in the cache folder, or unpacks them there. Takes about 3 s with a near package mirror, and a
 * millisecond the second time. Installs nothing. Several processes may call it concurrently. The cache is
 * `POSTERN_LAB_CACHE`, or else `.cache/postern-lab` in the outermost parent folder with a package.json. Rejects with a
 * LabError `LAB_TOOLS`, or with the signal's reason.
 */
export async function prepareTools(options: ToolsOptions = {}): Promise<Tools> {
  const cache = cacheFolder()
  const folder = path.join(cache, `${await systemName()}-${listMark()}`)
  const tools: Tools = { bin: path.join(folder, 'bin'), lib: path.join(folder, 'lib') }
  if (existsSync(tools.bin)) return tools

  const partial = await makePartial(cache)
  try {
    await unpack(partial, options)
    // The first process wins; the copies of others are identical.
    await rename(path.join(partial, 'tools'), folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return tools
}

/** Returns the folder in which the tools are kept. */
export function cacheFolder(): string {
  const named = process.env['POSTERN_LAB_CACHE']
  if (named !== undefined && named !== '') return path.resolve(named)
  let outermost = import.meta.dirname
  for (let folder = outermost; path.dirname(folder) !== folder; folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, 'package.json'))) outermost = folder
  }
  return path.join(outermost, '.cache', 'postern-lab')
}

/** Returns the name of the system. Libraries of one release do not work on another. */
async function systemName(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(release)?.[1] ?? ''
  return [field('ID') || process.platform, field('VERSION_ID') || 'rolling', process.arch].join('-')
}

/** Returns a hash of the lists of packages and programs, so that two versions of the lab can share a cache. */
function listMark(): string {
  return createHash('sha256')
    .update([...packages, ...programs].join())
    .digest('hex')
    .slice(0, 8)
}

/** Creates a folder in the cache for tools that are not complete yet. */
export async function makePartial(cache: string): Promise<string> {
  try {
    await mkdir(cache, { recursive: true })
    for (const name of await readdir(cache)) {
      // A setup that was killed has left this folder behind.
      const old = path.join(cache, name)
      if (name.startsWith('partial-') && Date.now() - (await stat(old)).mtimeMs > 3_600_000) {
        await rm(old, { recursive: true, force: true })
      }
    }
    return await mkdtemp(path.join(cache, 'partial-'))
  } catch (cause) {
    throw new LabError('LAB_TOOLS', `Cannot write to ${cache}: set POSTERN_LAB_CACHE to a writable folder.`, {
      cause
    })
  }
}

async function unpack(partial: string, { onProgress, signal }: ToolsOptions): Promise<void> {
  onProgress?.(
    'Fetching the lab tools (miniupnpd, nftables, iproute2, coturn, OpenSSH, dnsmasq, TAYGA): about 18 MB, once.'
  )
  const [archives, root] = [path.join(partial, 'archives'), path.join(partial, 'root')]
  const [bin, lib] = [path.join(partial, 'tools', 'bin'), path.join(partial, 'tools', 'lib')]
  for (const folder of [archives, root, bin, lib]) await mkdir(folder, { recursive: true })

  await downloadPackages(packages, archives, path.join(partial, 'apt'), { signal, onProgress })
  for (const archive of await readdir(archives)) {
    if (!archive.endsWith('.deb')) continue
    const { code, stderr } = await exec('dpkg-deb', ['-x', path.join(archives, archive), root], { signal })
    if (code !== 0) throw new LabError('LAB_TOOLS', `Could not unpack ${archive}: ${stderr.trim()}`)
  }

  const folders = await everyFolder(root)
  for (const program of programs) {
    const from = folders.find((folder) => folder.endsWith('bin') && existsSync(path.join(folder, program)))
    if (from === undefined)
      throw new LabError('LAB_TOOLS', `The packages ${packages.join(', ')} do not contain ${program}.`)
    await copyFile(path.join(from, program), path.join(bin, program))
    await chmod(path.join(bin, program), 0o755)
  }
  await copyLibraries(bin, lib, folders, root, signal)
}

/** Copies the libraries that the programs load from the unpacked packages. Rejects if one is missing. */
async function copyLibraries(
  bin: string,
  lib: string,
  folders: readonly string[],
  root: string,
  signal: AbortSignal | undefined
): Promise<void> {
  const LD_LIBRARY_PATH = folders.filter((folder) => folder.includes('/lib')).join(':')
  const env = { ...process.env, LD_LIBRARY_PATH, LC_ALL: 'C' }
  for (const program of programs) {
    const { stdout } = await exec('ldd', [path.join(bin, program)], { env, signal })
    const missing = [...stdout.matchAll(/(\S+) => not found/g)].map(([, name]) => name)
    if (missing.length > 0)
      throw new LabError('LAB_TOOLS', `${program} needs ${missing.join(', ')}, which no package contains.`)
    for (const [, name, from] of stdout.matchAll(/(\S+) => (\S+) \(/g)) {
      if (name !== undefined && from?.startsWith(root)) await copyFile(from, path.join(lib, name))
    }
  }
}

/** Resolves with every folder below `root`. */
export async function everyFolder(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(entry.parentPath, entry.name))
}
