// Which timers of ours keep a process alive: those that a file of a package here has started. What is imported after this
// is watched.
import { createHook } from 'node:async_hooks'

const own = /\/packages\/[^/]+\/dist\//
const started = new Map()

Error.stackTraceLimit = 50
createHook({
  init(id, type, _, resource) {
    if (type !== 'Timeout') return
    const { stack } = new Error('started')
    if (own.test(stack)) started.set(id, { resource, stack })
  },
  destroy(id) {
    started.delete(id)
  }
}).enable()

/** Where each was started. */
export const ownTimersLeft = () =>
  [...started.values()].flatMap(({ resource, stack }) => (resource.hasRef() ? [stack] : []))
