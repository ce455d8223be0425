// Times how long `stop` takes with ten mappings.
import { createTraversal } from '@postern/core'
import { findNetwork } from '@postern/net'
import { parseLadder } from '@postern/node'
import { endpointOf } from './endpoint.mjs'
import { runJob } from './job.mjs'

const [, , ladder] = process.argv
const mappings = 10
const { signal } = new AbortController()

await runJob({
  async prepare(port) {
    const traversal = createTraversal({ strategies: parseLadder(ladder) })
    const mapped = Promise.withResolvers()
    let count = 0
    traversal.addEventListener('mapped', () => {
      count += 1
      if (count === mappings) mapped.resolve()
    })
    for (let each = port; each < port + mappings; each++) traversal.addEndpoint(endpointOf(each, '0.0.0.0'))
    traversal.setNetwork(await findNetwork({ signal }))
    await traversal.start()
    await mapped.promise
    return { traversal }
  },
  call: (_port, { traversal }) => traversal.stop()
})
