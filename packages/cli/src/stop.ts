import { systemHost } from '@postern/core'
import { errorText } from '@postern/interface'
import { line, type Output } from './output.js'

/** How long the stop of a service may take, in ms. */
const stopMs = 4500

/** Stops a node, however slow its peers are. */
export async function stopWithin(node: { stop(): void | Promise<void> }, err: Output['err']): Promise<void> {
  const over = new AbortController()
  const late = systemHost.clock.sleep(stopMs, over).then(
    () => true,
    () => false
  )
  const stopped = Promise.resolve(node.stop()).then(
    () => false,
    // It ends all the same, and who waits is told what to think of it.
    (error: unknown) => {
      line(err, `! ${errorText(error)}`)
      return false
    }
  )
  const isLate = await Promise.race([stopped, late])
  over.abort()
  if (isLate) line(err, '! some connections did not close in time and are cut')
}
