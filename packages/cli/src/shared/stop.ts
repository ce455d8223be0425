import { systemHost } from '@postern/core'
import { errorText, waitAtMost } from '@postern/interface'
import { line, type Output } from './output.js'

/** How long stopping may take, in ms. The end of the process cuts what has not closed by then. */
const stopMs = 4500

/** Stops a node, without waiting longer than {@link stopMs} for slow peers. */
export async function stopWithin(node: { stop(): void | Promise<void> }, err: Output['err']): Promise<void> {
  const stopped = Promise.resolve(node.stop()).then(
    () => false,
    // The program ends anyway; write the reason.
    (error: unknown) => {
      line(err, `! ${errorText(error)}`)
      return false
    }
  )
  const isLate = await waitAtMost(systemHost.clock, stopMs, stopped, true)
  if (isLate) line(err, '! some connections did not close in time and are cut')
}
