import type { readSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { nodeFs } from '../async/builtins.js'

/** Compares the state of the network with the state at the previous comparison. This costs a tenth of reading it. */
export interface NetworkSnapshot {
  /** Takes a snapshot. Returns whether the network may differ from the previous snapshot. Returns true for the first
   * one, and whenever the system does not show its state in this way. */
  hasChanged(): boolean
  /** Closes the files. Idempotent. */
  close(): void
}

/** The sources of {@link openNetworkSnapshot}, replaceable for tests. */
export interface NetworkSnapshotOptions {
  /** The folder with the files of the network namespace.
   * @default '/proc/self/net' */
  readonly folder?: string
  /** Returns the network interfaces.
   * @default `os.networkInterfaces` */
  readonly interfaces?: () => unknown
}

/** The files without which a snapshot is not possible: the routes, and all tables of IPv4 with the addresses of this
 * host, which no other file shows. */
const required = ['route', 'fib_trie'] as const
/** The files that a kernel without IPv6 does not have. */
const optional = ['ipv6_route', 'if_inet6'] as const
/** The counters of references and uses in each line of `ipv6_route`. They change with traffic. */
const ipv6RouteCounters = /(?<=^(?:\S+ ){6})\S+ \S+/gm
/** The neighbours on the link. The kernel forgets those of a link that has lost its carrier. */
const neighbours = 'arp'
/** The interfaces are compared in every n-th snapshot, and when the neighbours have changed. They cost more than all
 * files together, and the files lack only one of their properties: whether a link has a carrier. */
const interfacesEvery = 3
/** The maximum size of a file, in bytes. A larger one counts as changed: it belongs to a router with a table of the
 * whole internet. */
const maxBytes = 256 * 1024
/** A read that returns less than this, in bytes, has reached the end of the file: the kernel fills a page of 4 KiB with
 * whole lines, which are all shorter than half of that. */
const shortRead = 2048

/**
 * Opens the files in which Linux shows routes and addresses, and keeps them open. They show the network namespace in
 * which this was called. On other systems, and if a file cannot be opened or read, `hasChanged()` always returns true.
 */
export function openNetworkSnapshot(options: NetworkSnapshotOptions = {}): NetworkSnapshot {
  const { folder = '/proc/self/net', interfaces = networkInterfaces } = options
  let files = openFiles(folder)
  let count = 0
  let lastInterfaces = ''

  function haveInterfacesChanged(): boolean {
    const text = JSON.stringify(interfaces())
    if (text === lastInterfaces) return false
    lastInterfaces = text
    return true
  }

  function compare(open: OpenFiles): boolean {
    // Each comparison stores the new text, so none may be left out.
    const changed = open.state.filter((file) => file.hasChanged())
    const haveNeighboursChanged = open.neighbours?.hasChanged() ?? false
    const isDue = count++ % interfacesEvery === 0
    return ((isDue || haveNeighboursChanged) && haveInterfacesChanged()) || changed.length > 0
  }

  function close(): void {
    for (const file of [...(files?.state ?? []), files?.neighbours]) file?.close()
    files = undefined
  }

  return {
    hasChanged() {
      if (files === undefined) return true
      try {
        return compare(files)
      } catch {
        // The caller reads the network itself now, and reports the reason if that fails, too.
        close()
        files = openFiles(folder)
        return true
      }
    },
    close
  }
}

interface OpenFiles {
  readonly state: readonly ComparedFile[]
  readonly neighbours: ComparedFile | undefined
}

interface ComparedFile {
  hasChanged(): boolean
  close(): void
}

function openFiles(folder: string): OpenFiles | undefined {
  if (process.platform !== 'linux') return undefined
  const buffer = Buffer.allocUnsafeSlow(maxBytes)
  const open = (name: string): ComparedFile | undefined => {
    try {
      return openFile(`${folder}/${name}`, buffer, name === 'ipv6_route' ? ipv6RouteCounters : undefined)
    } catch {
      return undefined
    }
  }
  const needed = required.map(open)
  const found = [...needed, ...optional.map(open)].filter((file) => file !== undefined)
  if (!needed.includes(undefined)) return { state: found, neighbours: open(neighbours) }
  for (const file of found) file.close()
  return undefined
}

/** Opens a file, and ignores these parts of its text. The descriptor of a file in /proc shows the present state at
 * every read from its beginning. */
function openFile(path: string, buffer: Buffer, ignored: RegExp | undefined): ComparedFile {
  const { closeSync, openSync, readSync } = nodeFs()
  const descriptor = openSync(path, 'r')
  let lastBytes: Buffer | undefined
  let lastText: string | undefined
  return {
    hasChanged() {
      const bytes = buffer.subarray(0, readAll(readSync, descriptor, buffer))
      if (bytes.length === buffer.length) return true
      if (lastBytes?.equals(bytes)) return false
      lastBytes = Buffer.from(bytes)
      if (ignored === undefined) return true
      const text = bytes.toString('latin1').replace(ignored, '')
      if (text === lastText) return false
      lastText = text
      return true
    },
    close: () => closeSync(descriptor)
  }
}

/** Reads a file from its beginning until its end, or until the buffer is full. Returns the number of bytes. */
function readAll(read: typeof readSync, descriptor: number, buffer: Buffer): number {
  let length = 0
  while (length < buffer.length) {
    const count = read(descriptor, buffer, length, buffer.length - length, length)
    length += count
    if (count < shortRead) break
  }
  return length
}
