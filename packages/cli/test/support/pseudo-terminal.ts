import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Lab } from '@postern/lab'

const postern = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))
/** Whether this machine has `script` of util-linux, which runs a command in a pseudo terminal. */
export const hasScript: boolean =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false

/** Runs `postern` in a pseudo terminal of a host, with 80 columns. Resolves to everything that the terminal received.
 *
 * @param interruptAt - presses Ctrl-C once this text was received */
export async function inTerminal(
  lab: Lab,
  args: readonly string[],
  { interruptAt, env = {} }: { readonly interruptAt?: RegExp; readonly env?: Readonly<Record<string, string>> } = {}
): Promise<string> {
  const command = ['stty cols 80;', process.execPath, postern, ...args].join(' ')
  const child = lab.spawn('home', ['script', '-qec', command, '/dev/null'], {
    stdio: 'pipe',
    env: { TERM: 'xterm-256color', LANG: 'C.UTF-8', NO_COLOR: '', ...env }
  })
  let text = ''
  let isPressed = false
  child.stdout?.on('data', (data: Buffer) => {
    text += data.toString()
    if (isPressed || interruptAt === undefined || !interruptAt.test(text)) return
    isPressed = true
    child.stdin?.write('\u0003')
  })
  await new Promise((resolve) => child.once('close', resolve))
  if (interruptAt !== undefined && !isPressed) throw new Error(`never received ${interruptAt}: ${text}`)
  return text
}
