// Runs inside a lab: `node bore-home.mjs <options of bore as JSON>…`. Exposes one server for each argument, on port 7001 and
// those after it, and prints what happens as lines of JSON. A server sends its number, and then what it gets. The program
// ends with its standard input, and releases the ports.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { bore } from '@postern/bore'
import { memoryStore } from '@postern/core'
import { expose } from '@postern/node'

const began = performance.now()
const say = (line) =>
  process.stdout.write(`${JSON.stringify({ ...line, ms: Math.round(performance.now() - began) })}\n`)

async function open(options, index) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', ({ code }) => say({ event: 'cut', index, code }))
    socket.write(String(index))
    socket.pipe(socket)
  })
  server.listen(7001 + index, '0.0.0.0')
  await once(server, 'listening')
  const on = {}
  for (const event of ['mapped', 'lost', 'failed', 'changed', 'released'])
    on[event] = ({ detail: { external, reasons } }) => say({ event, index, external, reasons })
  return expose(server, { strategies: [bore(options)], store: memoryStore(), on })
}

const exposures = await Promise.all(process.argv.slice(2).map((text, index) => open(JSON.parse(text), index)))
process.stdin.resume()
await once(process.stdin, 'end')
say({ event: 'closing', reports: exposures.map((each) => each.report()) })
await Promise.all(exposures.map((each) => each.close()))
say({ event: 'closed' })
process.exit()
