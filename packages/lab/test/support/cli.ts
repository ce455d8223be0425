import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

export const cli: string = path.join(import.meta.dirname, '..', '..', 'bin', 'postern-lab.js')

/** Runs postern-lab and resolves with its output. */
export async function call(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}
