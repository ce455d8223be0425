// A witness server. `loopback`: on 127.0.0.9 without limits on requests. Prints its port, and its memory, counters and
// connections after each line on standard input.
import { createInterface } from 'node:readline'
import { createWitnessServer } from '@postern/witness/server'

const isOnLoopback = process.argv[2] === 'loopback'
const many = 1_000_000_000
const server = createWitnessServer(
  isOnLoopback
    ? {
        mayDial: () => true,
        hostAddresses: () => ['127.0.0.9'],
        requestsPerIp: many,
        requestsPerSubnet: many,
        requestsPerMinute: many
      }
    : {}
)
const { port } = await server.listen(isOnLoopback ? 0 : 4003, isOnLoopback ? '127.0.0.9' : '0.0.0.0')
console.log(JSON.stringify({ port }))
for await (const _ of createInterface({ input: process.stdin })) {
  globalThis.gc?.()
  const { user, system } = process.cpuUsage()
  const { counters, connections, dialling, limited, refused } = server
  const rssMb = process.memoryUsage.rss() / 1e6
  const heapMb = process.memoryUsage().heapUsed / 1e6
  console.log(
    JSON.stringify({ rssMb, heapMb, cpuMs: (user + system) / 1000, counters, connections, dialling, limited, refused })
  )
}
await server.close()
