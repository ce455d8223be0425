// The ladder without a mapping service: from looking at the network to the verdict after the first pass.
import { createTraversal } from '@postern/core'
import { findNetwork } from '@postern/net'
import { parseLadder } from '@postern/node'
import { endpointOf } from './endpoint.mjs'
import { runJob } from './job.mjs'

const { signal } = new AbortController()

await runJob({
  prepare: async () => ({ traversal: createTraversal({ strategies: parseLadder('any') }) }),
  async call(port, { traversal }) {
    traversal.addEndpoint(endpointOf(port, '0.0.0.0'))
    traversal.setNetwork(await findNetwork({ signal }))
    await traversal.start()
    await traversal.settled()
    const { verdict, cause } = traversal.report()
    if (verdict !== 'private' || cause !== 'no-mapping-service') throw new Error(`says ${verdict}, ${cause}`)
  },
  end: ({ traversal }) => traversal.stop()
})
