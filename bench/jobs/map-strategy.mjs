// One strategy by itself: from `discover` to the lease. The network is already known, as in a running program.
import { systemHost } from '@postern/core'
import { findNetwork } from '@postern/net'
import { endpointOf } from './endpoint.mjs'
import { runJob } from './job.mjs'
import { strategies } from './strategies.mjs'

const [, , name] = process.argv
const network = await findNetwork({ signal: new AbortController().signal })
const key = crypto.getRandomValues(new Uint8Array(16))

await runJob({
  prepare: async () => ({ over: new AbortController() }),
  async call(port, held) {
    const found = Promise.withResolvers()
    const take = (finding) => {
      if (finding.kind === 'mapper' && finding.family === 4) found.resolve(finding)
      if (finding.kind === 'notice' && finding.what === 'absent') found.reject(finding.reason)
    }
    held.discovery = strategies[name]()(systemHost).discover(network, take, held.over)
    held.discovery.catch(found.reject)
    const mapper = await found.promise
    const request = { endpoint: endpointOf(port), suggestedExternalPort: port, lifetimeMs: 7_200_000, key }
    held.lease = await mapper.map(request, held.over)
  },
  async end({ discovery, lease, over }) {
    await lease?.release(over)
    over.abort()
    await discovery.catch(() => {})
  }
})
