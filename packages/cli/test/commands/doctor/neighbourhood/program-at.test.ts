import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { programAt } from '../../../../src/commands/doctor/neighbourhood/program-at.js'

const folders: string[] = []
afterEach(async () => {
  for (const each of folders.splice(0)) await rm(each, { recursive: true, force: true })
})

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'

/** Creates a folder in the form of `/proc` with one process, which has one socket open. */
async function procWith(table: string, comm: string): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'postern-proc-'))
  folders.push(root)
  await mkdir(join(root, 'net'))
  await mkdir(join(root, '42', 'fd'), { recursive: true })
  await writeFile(join(root, 'net', 'tcp'), head + table)
  await writeFile(join(root, '42', 'comm'), comm)
  await symlink('socket:[1234]', join(root, '42', 'fd', '3'))
  return root
}

describe('programAt', () => {
  it.skipIf(process.platform !== 'linux')(
    'programAt names this process for a port that it listens at (only on Linux)',
    async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0
      expect(await programAt('tcp', port)).toContain(`(process ${process.pid})`)
      server.close()
      await once(server, 'close')
      expect(await programAt('tcp', port)).toBeNull()
    }
  )

  const listener =
    '   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1234 1 0\n'

  it('programAt finds the process by the inode of the socket', async () => {
    expect(await programAt('tcp', 8080, await procWith(listener, 'nginx\n'))).toBe('nginx (process 42)')
  })

  it.each([
    ['a connection and no listener', listener.replace(' 0A ', ' 01 ')],
    ['another port', listener.replace('1F90', '1F91')],
    ['a socket of another process', listener.replace('1234', '9999')],
    ['half a line', '   0: 00000000:1F90'],
    ['nothing', '']
  ])('programAt finds none if the table has %s', async (_, table) => {
    expect(await programAt('tcp', 8080, await procWith(table, 'nginx\n'))).toBeNull()
  })

  it('programAt makes the name of a program printable', async () => {
    expect(await programAt('tcp', 8080, await procWith(listener, 'a\u001b[31m\n'))).toBe('a\\u001b[31m (process 42)')
  })

  it('programAt finds none on a system without such a folder', async () => {
    expect(await programAt('udp', 8080, join(tmpdir(), 'postern-no-such-folder'))).toBeNull()
  })
})
