// Runs inside a lab: `node exposed.mjs tcp|udp <ladder> [<port>] [<state folder>]`. Exposes a server that answers with the
// address of its client, and prints a line of JSON for each event. Answers `report` and `close` on standard input.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { memoryStore } from '@postern/core'
import { expose, fileStore } from '@postern/node'

const [, , protocol, strategies, port = '5001', folder] = process.argv
let exposure
const tell = (line) => console.log(JSON.stringify(line))
const server =
  protocol === 'udp'
    ? createSocket('udp4').on('message', (_, from) =>
        server.send(`${from.address}:${from.port}`, from.port, from.address)
      )
    : createServer((socket) => {
        socket.on('error', () => undefined)
        const { address, port: from } = exposure?.clientOf(socket) ?? {
          address: socket.remoteAddress,
          port: socket.remotePort
        }
        socket.end(`${address}:${from}`)
      })
if (protocol === 'udp') server.bind(Number(port), '0.0.0.0')
else server.listen(Number(port), '0.0.0.0')
await once(server, 'listening')
const names = ['mapped', 'renewed', 'changed', 'lost', 'failed', 'released']
const store = folder === undefined ? memoryStore() : fileStore({ path: join(folder, 'ports.json') })
exposure = await expose(server, {
  strategies,
  store,
  // The routers behind the next hop are polled this often: their announcements do not come here.
  policy: { recheckIntervalMs: 5000 },
  on: Object.fromEntries(names.map((name) => [name, ({ detail }) => tell(detail)]))
})
tell({ event: 'settled' })
process.stdin.on('data', async (bytes) => {
  const command = String(bytes).trim()
  if (command === 'report') tell({ event: 'report', report: exposure.report(), addresses: exposure.addresses })
  if (command !== 'close') return
  await exposure.close()
  tell({ event: 'closed' })
  process.exit()
})
