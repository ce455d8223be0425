/** Runs a tool of the system, and resolves to what it prints. Rejects if it fails or takes longer than `timeoutMs`. Loads
 * the modules for it when it is needed: Linux has no such tool. */
export async function runTool(file: string, args: readonly string[], timeoutMs: number): Promise<string> {
  const [{ execFile }, { promisify }] = await Promise.all([import('node:child_process'), import('node:util')])
  const { stdout } = await promisify(execFile)(file, [...args], { timeout: timeoutMs })
  return stdout
}
