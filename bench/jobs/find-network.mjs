// Times how long looking at the network takes: a part of what map-traversal does.
import { findNetwork } from '@postern/net'
import { runJob } from './job.mjs'

const { signal } = new AbortController()

await runJob({ call: () => findNetwork({ signal }) })
