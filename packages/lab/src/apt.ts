import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { LabError } from './errors.js'
import type { Output } from './exec.js'
import { exec } from './exec.js'

// Packages that every Debian-based system has, that only install scripts need, or that are JavaScript for web pages.
const passedOver =
  /^libjs-|^(libc6|libc-bin|libgcc-s1|libstdc\+\+6)$|-(bin|common|data)$|^libdebian|^libtextwrap|^libnewt/

/**
 * Downloads packages and the libraries that they need into `folder`, without installing anything. Uses the package
 * lists of the system; if these are missing or stale, fetches separate lists into `state`. Needs no root. Rejects with
 * a LabError `LAB_TOOLS`.
 */
export async function downloadPackages(
  roots: readonly string[],
  folder: string,
  state: string,
  options: { readonly signal?: AbortSignal | undefined; readonly onProgress?: ((line: string) => void) | undefined }
): Promise<void> {
  const { onProgress = () => {}, signal } = options
  if (await tryDownload(roots, folder, [], signal)) return

  onProgress('The package lists of this system cannot be used; fetching separate lists for the lab.')
  await mkdir(path.join(state, 'lists', 'partial'), { recursive: true })
  await mkdir(path.join(state, 'cache', 'archives', 'partial'), { recursive: true })
  const apart = [
    `-oDir::State=${state}`,
    `-oDir::Cache=${path.join(state, 'cache')}`,
    '-oDir::State::status=/var/lib/dpkg/status',
    '-oAPT::Sandbox::User='
  ]
  const update = await apt('apt-get', [...apart, '-q', 'update'], state, signal)
  if (update.code === 0 && (await tryDownload(roots, folder, apart, signal))) return
  throw new LabError(
    'LAB_TOOLS',
    `Could not download ${roots.join(', ')}: check that this machine can reach its package mirror and that the mirror has ` +
      `them (on Ubuntu, the component "universe"). ${lastLine(update.stderr)}`.trimEnd()
  )
}

async function tryDownload(
  roots: readonly string[],
  folder: string,
  options: readonly string[],
  signal: AbortSignal | undefined
): Promise<boolean> {
  const relations = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((is) => `--no-${is}`)
  const graph = await apt('apt-cache', [...options, 'depends', '--recurse', ...relations, ...roots], folder, signal)
  if (graph.code !== 0) return false
  const names = closure(roots, graph.stdout)
  return (await apt('apt-get', [...options, '-q', 'download', ...names], folder, signal)).code === 0
}

/**
 * Returns the packages and the libraries among their dependencies, from the output of `apt-cache depends --recurse`.
 */
export function closure(roots: readonly string[], graph: string): string[] {
  const dependencies = new Map<string, string[]>()
  let current: string[] = []
  for (const line of graph.split('\n')) {
    const [, dependency] = /^ [ |](?:Pre)?Depends: (\S+)$/.exec(line) ?? []
    if (dependency !== undefined) current.push(dependency)
    else if (/^\S/.test(line)) dependencies.set(line.trim(), (current = []))
  }
  const chosen = new Set(roots)
  for (const name of chosen) {
    for (const dependency of dependencies.get(name) ?? []) {
      if (dependency.startsWith('lib') && !dependency.includes(':') && !passedOver.test(dependency))
        chosen.add(dependency)
    }
  }
  return [...chosen]
}

/** Runs a program of apt. Rejects with a LabError `LAB_TOOLS` if it does not run here. */
export async function apt(
  program: string,
  args: readonly string[],
  cwd: string,
  signal: AbortSignal | undefined
): Promise<Output> {
  try {
    return await exec(program, args, { cwd, env: { ...process.env, LC_ALL: 'C' }, signal })
  } catch (cause) {
    signal?.throwIfAborted()
    throw new LabError(
      'LAB_TOOLS',
      `The lab unpacks its tools from Debian packages, but ${program} does not run here.`,
      {
        cause
      }
    )
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''
