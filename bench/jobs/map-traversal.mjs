// The ladder with everything that a program needs for it: looks at the network, starts, waits for `mapped`.
import { createTraversal } from '@postern/core'
import { findNetwork } from '@postern/net'
import { parseLadder } from '@postern/node'
import { endpointOf } from './endpoint.mjs'
import { runJob } from './job.mjs'

const [, , ladder] = process.argv
const { signal } = new AbortController()

await runJob({
  prepare: async () => ({}),
  async call(port, held) {
    const traversal = createTraversal({ strategies: parseLadder(ladder) })
    held.traversal = traversal
    const mapped = Promise.withResolvers()
    traversal.addEventListener('mapped', mapped.resolve)
    traversal.addEventListener('failed', ({ detail }) => mapped.reject(detail.reasons[0]))
    traversal.addEndpoint(endpointOf(port, '0.0.0.0'))
    traversal.setNetwork(await findNetwork({ signal }))
    await traversal.start()
    await mapped.promise
  },
  end: ({ traversal }) => traversal.stop()
})
