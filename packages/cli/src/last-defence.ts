import { exitCodes } from './exit-codes.js'
import { line, type Output } from './output.js'

/**
 * Keeps a fault in one part of the program from taking the mappings with it.
 *
 * A rejection that nothing hears is told, and the command goes on: what it holds is still renewed. After an exception that
 * nothing caught the state of the program is unknown, so the command is interrupted, as Ctrl-C does, gives back what it
 * holds, and ends with 1; a second one ends the process at once.
 */
export function keepGoing({ err }: Pick<Output, 'err'>): { readonly hasFailed: () => boolean } {
  let isEnding = false
  const tell = (what: string, error: unknown): void =>
    line(err, `! ${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)

  process.on('unhandledRejection', (reason) => tell('a part of the program failed, and the rest goes on', reason))
  process.on('uncaughtException', (error) => {
    tell('the program failed', error)
    const isHeard = process.listenerCount('SIGTERM') > 0
    if (isEnding || !isHeard) process.exit(exitCodes.failed)
    isEnding = true
    process.emit('SIGTERM', 'SIGTERM')
  })
  return { hasFailed: () => isEnding }
}
