// The bare exchanges of the protocol over one socket: the external address, then the mapping (RFC 6886 §3.2 and §3.3), written and read without
// any check.
import { openExchange } from './exchange.mjs'
import { runJob } from './job.mjs'

const [, , router] = process.argv
const serverPort = 5351

await runJob({
  async call(port) {
    const { ask, close } = await openExchange(router, serverPort)
    checkResult(await ask(Buffer.from([0, 0])))
    checkResult(await ask(mapRequest(port)))
    close()
  }
})

function mapRequest(port) {
  const bytes = Buffer.alloc(12)
  bytes.set([0, 2]) // version, opcode: map TCP
  bytes.writeUInt16BE(port, 4)
  bytes.writeUInt16BE(port, 6)
  bytes.writeUInt32BE(7200, 8)
  return bytes
}

function checkResult(reply) {
  const result = reply.readUInt16BE(2)
  if (result !== 0) throw new Error(`result ${result}`)
}
