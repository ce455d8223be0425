import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { windowsProgram } from '@postern/net'

/** The program that opens a file as the user would, and its arguments before the file. */
const openers: Readonly<Partial<Record<NodeJS.Platform, readonly [program: string, ...args: string[]]>>> = {
  darwin: ['open'],
  win32: [windowsProgram('rundll32.exe'), 'url.dll,FileProtocolHandler']
}

/**
 * Opens a URL in the browser of the user. Resolves to a function that removes what was written for that; calls `failed` if no browser can
 * be started.
 *
 * Every user of this machine can read the arguments of its programs, and the URL lets in the first that opens it. So the browser is given
 * a file, which only this user can read, and which leads to the URL.
 */
export async function openBrowser(url: string, failed: (reason: string) => void): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-'))
  const file = join(folder, 'open.html')
  const text = `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=${url}"><title>postern</title>`
  await writeFile(file, text, { mode: 0o600 })
  const [program, ...args] = openers[process.platform] ?? ['xdg-open']
  const child = spawn(program, [...args, pathToFileURL(file).href], { stdio: 'ignore', detached: true })
  child.on('error', (error) => failed(error.message))
  child.on('exit', (code) => {
    if (code !== null && code !== 0) failed(`${program} ended with ${code}`)
  })
  child.unref()
  return () => rm(folder, { recursive: true, force: true })
}
