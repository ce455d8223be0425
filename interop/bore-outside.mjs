// Runs inside a lab: `node bore-outside.mjs <host> <port> [<bytes>]`. Connects, sends random bytes and the end, and prints
// what came back as one line of JSON: the number of the server, and whether the bytes are the same.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'

const [, , host, port, length = '5'] = process.argv
const bytes = randomBytes(Number(length))
const hash = (data) => createHash('sha256').update(data).digest('hex')

async function exchange() {
  const socket = connect({ host, port: Number(port), allowHalfOpen: true })
  await once(socket, 'connect')
  socket.end(bytes)
  const chunks = []
  for await (const chunk of socket) chunks.push(chunk)
  const all = Buffer.concat(chunks)
  return { server: all.subarray(0, 1).toString(), isSame: hash(all.subarray(1)) === hash(bytes) }
}

console.log(JSON.stringify(await exchange().catch(({ code, message }) => ({ failed: code ?? message }))))
process.exit()
