// One strategy without a mapping service: from `discover` to the first report that there is none.
import { systemHost } from '@postern/core'
import { findNetwork } from '@postern/net'
import { runJob } from './job.mjs'
import { strategies } from './strategies.mjs'

const [, , name] = process.argv
const network = await findNetwork({ signal: new AbortController().signal })

await runJob({
  prepare: async () => ({ over: new AbortController() }),
  async call(_port, held) {
    const absent = Promise.withResolvers()
    const take = (finding) => {
      if (finding.kind === 'notice' && finding.what === 'absent') absent.resolve()
      else absent.reject(new Error('finds something'))
    }
    held.discovery = strategies[name]()(systemHost).discover(network, take, held.over)
    held.discovery.catch(absent.reject)
    await absent.promise
  },
  async end({ discovery, over }) {
    over.abort()
    await discovery.catch(() => {})
  }
})
