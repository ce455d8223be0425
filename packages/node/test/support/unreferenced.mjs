// Runs inside a lab: `node unreferenced.mjs unref|ref <ladder> <releaseOnExit>`. Exposes a server, and works until its mapping was
// renewed. Then only the exposure is left. Prints `renewed`, and `stays` if the process does not end by itself.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { memoryStore } from '@postern/core'
import { expose } from '@postern/node'

const [, , mode, strategies, releaseOnExit] = process.argv
const server = createServer().listen(5001, '0.0.0.0')
await once(server, 'listening')
server.unref()
const exposure = await expose(server, {
  strategies,
  store: memoryStore(),
  policy: { recheckIntervalMs: 200 },
  releaseOnExit: releaseOnExit === 'true'
})
if (mode === 'unref' && exposure.unref() !== exposure) throw new Error('unref() does not return the exposure')
const work = setInterval(() => undefined, 60_000)
let isRenewed = false
exposure.addEventListener('request', ({ detail: { verb, outcome } }) => {
  if (verb !== 'renew' || outcome !== 'success' || isRenewed) return
  isRenewed = true
  console.log('renewed')
  clearInterval(work)
  setTimeout(() => {
    console.log('stays')
    process.exit()
  }, 2000).unref()
})
