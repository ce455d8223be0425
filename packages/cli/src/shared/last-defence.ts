import { exitCodes } from './exit-codes.js'
import { line, type Output } from './output.js'

/**
 * Keeps a fault in one part of the program from losing the mappings.
 *
 * An unhandled rejection is reported, and the command continues to renew its mappings. After an uncaught exception the
 * state of the program is unknown, so the command is interrupted like with Ctrl-C, releases its mappings, and ends with
 * exit code
 * 1. A second exception ends the process at once.
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
