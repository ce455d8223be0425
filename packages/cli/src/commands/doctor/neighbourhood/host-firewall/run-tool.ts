import { execFile } from 'node:child_process'

/** What a program printed. `code` is its exit code; null if it was killed, because it took too long or printed too much. */
export interface ToolResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program without a shell. Resolves to undefined if it is not installed, or may not be started; never rejects. */
export type RunTool = (
  command: string,
  args: readonly string[],
  call: { readonly signal: AbortSignal }
) => Promise<ToolResult | undefined>

/** The time limit for a program that lists rules, in ms. PowerShell alone takes a second to start. */
const toolMs = 5000
/** The maximum length of its output, in bytes. A host with thousands of rules prints about one MiB. */
const maxOutputBytes = 8 * 1024 * 1024

/** Folders of system programs, for users without them in their PATH. */
const systemPath = process.platform === 'win32' ? '' : ':/usr/sbin:/sbin:/usr/local/sbin'

/** Runs a program of this machine; see {@link RunTool}. It inherits no standard input. */
export const runTool: RunTool = (command, args, { signal }) =>
  new Promise((resolve) => {
    const options = {
      signal,
      timeout: toolMs,
      killSignal: 'SIGKILL',
      maxBuffer: maxOutputBytes,
      windowsHide: true,
      // The output is parsed, so it must be in one language.
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}${systemPath}`, LC_ALL: 'C', LANG: 'C' }
    } as const
    const child = execFile(command, [...args], options, (error, stdout, stderr) => {
      // A string is the code of the error that kept the program from starting, or of its output that was too long.
      const code: unknown = error === null ? 0 : error.code
      if (code === 'ENOENT' || code === 'EACCES' || code === 'EPERM') resolve(undefined)
      else resolve({ code: typeof code === 'number' ? code : null, stdout, stderr })
    })
    child.stdin?.end()
  })
