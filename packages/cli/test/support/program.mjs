// A program behind NAT, for lab tests: makes one port reachable with the strategies named, tells every event as a JSON
// line, and takes commands on standard input: `recheck`, `report`, `stop`.
import { createInterface } from 'node:readline'
import { createTraversal, memoryStore } from '@postern/core'
import { findNetwork, watchNetwork } from '@postern/net'
import { fileStore, parseLadder } from '@postern/node'

const { via, protocol = 'tcp', port, family = 4, statePath, externalPort } = JSON.parse(process.argv[2])
const say = (value) => console.log(JSON.stringify(value))
const store = statePath ? fileStore({ path: statePath }) : memoryStore()
const traversal = createTraversal({ strategies: parseLadder(via), store })
for (const name of ['mapped', 'renewed', 'changed', 'lost', 'failed', 'released']) {
  traversal.addEventListener(name, ({ detail }) => say(detail))
}
const end = new AbortController()
const { clock } = await import('@postern/core').then(({ systemHost }) => systemHost)
traversal.setNetwork(await findNetwork(end))
traversal.addEndpoint(
  { protocol, family, address: family === 4 ? '0.0.0.0' : '::', port },
  externalPort ? { externalPort } : {}
)
await traversal.start()
const watching = watchNetwork({ clock, changed: (network) => traversal.setNetwork(network), intervalMs: 250 }, end)
await traversal.settled()
say({ event: 'first-pass', report: traversal.report() })

for await (const command of createInterface({ input: process.stdin })) {
  if (command === 'recheck') traversal.recheck()
  if (command === 'report') say({ event: 'report', report: traversal.report() })
  if (command === 'stop') break
}
end.abort()
await watching
await traversal.stop()
await store.close?.()
say({ event: 'stopped' })
process.stdin.destroy()
