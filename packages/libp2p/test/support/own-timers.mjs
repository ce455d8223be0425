// Finds the timers that keep a process alive and were started by a file of this repository. Import it first: it watches
// only what is imported after it.
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

/** Returns where each timer was started. */
export const ownTimersLeft = () =>
  [...started.values()].flatMap(({ resource, stack }) => (resource.hasRef() ? [stack] : []))
