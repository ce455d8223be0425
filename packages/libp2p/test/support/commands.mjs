// What the programs here have in common: commands in JSON lines on standard input, answered by number.
import { createInterface } from 'node:readline'

/** Carries out each command by its name, until there are no more. */
export function serveCommands(commands, say) {
  const input = createInterface({ input: process.stdin })
  input.on('line', (line) => {
    const { id, do: name, ...options } = JSON.parse(line)
    commands[name](options).then(
      (result) => say({ id, result }),
      (error) => say({ id, error: `${error?.name}: ${error?.message}` })
    )
  })
  input.on('close', () => process.stdin.destroy())
}

/** What keeps the process alive. */
export async function resourcesLeft() {
  // What was closed just now is counted until the next turn.
  await new Promise((resolve) => setTimeout(resolve, 50))
  return process.getActiveResourcesInfo()
}
