import { readdir, readFile, readlink } from 'node:fs/promises'
import { type Protocol, printable } from '@postern/interface'

/** The maximum number of processes that are looked at. */
const maxProcesses = 4096
/** The state of a listening TCP socket in `/proc/net/tcp` (Linux, include/net/tcp_states.h). */
const listening = '0A'
const maxLength = 64

/**
 * Resolves to the name of the program of this machine that listens at a port, from `/proc`; null if none does, on another
 * system than Linux, or if the program belongs to another user. Never rejects.
 *
 * @param root - the folder in which the kernel describes processes
 */
export async function programAt(protocol: Protocol, port: number, root = '/proc'): Promise<string | null> {
  try {
    const inodes = await inodesAt(protocol, port, root)
    return inodes.size === 0 ? null : await ownerOf(inodes, root)
  } catch {
    // There is no such folder, or it may not be read.
    return null
  }
}

/** Returns the inodes of the sockets that are bound to a port. */
async function inodesAt(protocol: Protocol, port: number, root: string): Promise<ReadonlySet<string>> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const files = [protocol, `${protocol}6`].map((name) => readFile(`${root}/net/${name}`, 'latin1').catch(() => ''))
  const inodes = new Set<string>()
  for (const text of await Promise.all(files)) {
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = '0'] = line.trim().split(/\s+/)
      const isBound = local.endsWith(`:${hex}`) && (protocol === 'udp' || state === listening)
      if (isBound && inode !== '0') inodes.add(inode)
    }
  }
  return inodes
}

/** Resolves to the name of the process that has one of these sockets open. */
async function ownerOf(inodes: ReadonlySet<string>, root: string): Promise<string | null> {
  const processes = (await readdir(root)).filter((name) => /^\d+$/.test(name)).slice(0, maxProcesses)
  for (const process of processes) {
    // Those of other users may not be read.
    const handles = await readdir(`${root}/${process}/fd`).catch(() => [])
    for (const handle of handles) {
      const target = await readlink(`${root}/${process}/fd/${handle}`).catch(() => '')
      const [, inode = ''] = /^socket:\[(\d+)\]$/.exec(target) ?? []
      if (!inodes.has(inode)) continue
      const name = printable((await readFile(`${root}/${process}/comm`, 'utf8')).trim(), maxLength)
      return `${name} (process ${process})`
    }
  }
  return null
}
