import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openBrowser } from '../../../src/commands/watch/open-browser.js'

/** Puts a program in the place of `xdg-open`. */
async function withOpener(script: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'xdg-open'), `#!/bin/sh\n${script.replaceAll('FOLDER', folder)}\n`)
  await chmod(join(folder, 'xdg-open'), 0o755)
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`)
  onTestFinished(() => void vi.unstubAllEnvs())
  return folder
}

const url = 'http://127.0.0.1:1/x/?token=secret'

// Elsewhere the opener cannot be replaced.
describe.skipIf(process.platform !== 'linux')('openBrowser', () => {
  it('the browser is given a file that only this user can read, and not the URL', async () => {
    const folder = await withOpener('echo "$@" > FOLDER/part && mv FOLDER/part FOLDER/args')
    const failed = vi.fn<(reason: string) => void>()
    const close = await openBrowser(url, failed)
    const args = await vi.waitFor(() => readFile(join(folder, 'args'), 'utf8'), { timeout: 10_000 })
    expect(args).not.toContain('secret')
    const file = fileURLToPath(args.trim())
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readFile(file, 'utf8')).toContain(`url=${url}`)
    await close()
    await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(failed).not.toHaveBeenCalled()
  })

  it('a browser that does not start is told', async () => {
    await withOpener('exit 3')
    const reason = await new Promise<string>((resolve) => void openBrowser(url, resolve))
    expect(reason).toBe('xdg-open ended with 3')
  })
})
