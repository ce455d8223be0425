// Asks a witness server on loopback as fast as it answers, for some seconds, from many addresses: `<port> <seconds>
// <clients>`. Or holds connections open: `<port> idle <connections>`. Prints one line of JSON.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'

const [, , serverPort, kind, count] = process.argv
const server = { port: Number(serverPort), host: '127.0.0.9' }
/** Each client is in a network of its own. */
const address = (index) => `127.${1 + (index & 127)}.${index >> 7}.1`

await (kind === 'idle' ? hold(Number(count)) : load(Number(kind), Number(count)))
process.exit()

async function load(seconds, clients) {
  const target = createServer((socket) => socket.end())
  target.listen(0, '0.0.0.0')
  await once(target, 'listening')
  const { port } = target.address()
  const times = []
  const failures = {}
  const untilMs = performance.now() + seconds * 1000
  await Promise.all(
    Array.from({ length: clients }, (_, index) => client(address(index + 1), port, untilMs, times, failures))
  )
  times.sort((a, b) => a - b)
  const at = (part) => times[Math.floor(part * (times.length - 1))]
  console.log(JSON.stringify({ perSecond: times.length / seconds, medianMs: at(0.5), p99Ms: at(0.99), failures }))
}

/** One connection after the other would measure TCP, so each client keeps its own, as a reverse proxy does. */
async function client(localAddress, port, untilMs, times, failures) {
  const body = JSON.stringify({ protocol: 'tcp', address: localAddress, port, nonce: '000102030405060708090a0b' })
  const request = `POST /v1/verify HTTP/1.1\r\nhost: witness\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  const socket = connect({ ...server, localAddress })
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  while (performance.now() < untilMs) {
    const startedMs = performance.now()
    socket.write(request)
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error('the server has closed the connection')
      if (!value.startsWith('{')) continue
      const { outcome, error } = JSON.parse(value)
      if (outcome === 'connected') times.push(performance.now() - startedMs)
      else failures[outcome ?? error] = (failures[outcome ?? error] ?? 0) + 1
      break
    }
  }
  socket.destroy()
}

async function hold(connections) {
  const sockets = []
  for (let index = 0; index < connections; index += 100) {
    const some = Array.from({ length: 100 }, (_, each) =>
      connect({ ...server, localAddress: address(index + each + 1) })
    )
    await Promise.all(
      some.map((socket) => new Promise((resolve) => socket.on('error', resolve).once('connect', resolve)))
    )
    sockets.push(...some)
  }
  console.log(
    JSON.stringify({
      opened: sockets.length,
      open: sockets.filter(({ closed, destroyed }) => !closed && !destroyed).length
    })
  )
  await once(process.stdin.resume(), 'end')
}
