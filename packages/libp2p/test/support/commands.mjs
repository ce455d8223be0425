// Shared by the programs in this folder: commands in JSON lines on standard input, answered by number.
import { createInterface } from 'node:readline'

/** Runs each command by its name until standard input ends. */
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

/** Returns the resources that keep the process alive. */
export async function resourcesLeft() {
  // A resource that was just closed is still counted until the next turn of the event loop.
  await new Promise((resolve) => setTimeout(resolve, 50))
  return process.getActiveResourcesInfo()
}
