import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const sources = new URL('../../../../scripts/sources.mjs', import.meta.url).href
const mounts = spawnSync('unshare', ['-rm', 'true']).status === 0
it.skipIf(!mounts)(
  `a full disk leaves no half of a record${mounts ? '' : ' (skipped: unshare is not permitted here)'}`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-'))
    const script = `
    import { readdirSync, writeFileSync } from 'node:fs'
    import { openOwnerFolder } from ${JSON.stringify(new URL('../../src/owners/owner-folder.ts', import.meta.url).href)}
    const open = openOwnerFolder('${folder}', 'a program')
    const endpoint = { protocol: 'tcp', address: '0.0.0.0', port: 1, keys: {}, addresses: [] }
    const codes = []
    await open.publish([endpoint])
    try { writeFileSync('${folder}/ballast', Buffer.alloc(1024 * 1024)) } catch ({ code }) { codes.push(code) }
    await open.publish(Array.from({ length: 60 }, () => endpoint)).catch(({ code }) => codes.push(code))
    codes.push(...readdirSync('${folder}').filter((name) => name.endsWith('.tmp')))
    await open.close()
    console.log(JSON.stringify(codes))`
    const shell = 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$1" --import "$3" --input-type=module -e "$2"'
    const { stdout, stderr } = spawnSync(
      'unshare',
      ['-rm', 'sh', '-c', shell, folder, process.execPath, script, sources],
      {
        encoding: 'utf8'
      }
    )
    await rm(folder, { recursive: true, force: true })
    expect([stdout, stderr]).toEqual(['["ENOSPC","ENOSPC"]\n', ''])
  }
)
