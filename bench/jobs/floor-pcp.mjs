// The bare exchange of the protocol: one MAP request over one socket (RFC 6887 §7.1 and §11.1), written and read without any check.
import { ownAddress } from './endpoint.mjs'
import { openExchange } from './exchange.mjs'
import { runJob } from './job.mjs'

const [, , router] = process.argv
const address = ownAddress()
const nonce = crypto.getRandomValues(new Uint8Array(12))
const [tcp, serverPort] = [6, 5351]

await runJob({
  async call(port) {
    const { ask, close } = await openExchange(router, serverPort)
    const reply = await ask(mapRequest(port))
    close()
    if (reply[3] !== 0) throw new Error(`result ${reply[3]}`)
  }
})

function mapRequest(port) {
  const bytes = Buffer.alloc(60)
  bytes.set([2, 1]) // version, opcode MAP
  bytes.writeUInt32BE(7200, 4)
  writeMapped(bytes, 8, address)
  bytes.set(nonce, 24)
  bytes.writeUInt8(tcp, 36)
  bytes.writeUInt16BE(port, 40)
  bytes.writeUInt16BE(port, 42)
  writeMapped(bytes, 44, '0.0.0.0')
  return bytes
}

/** Writes an IPv4 address as an IPv4-mapped one. */
function writeMapped(bytes, at, text) {
  bytes.writeUInt16BE(0xff_ff, at + 10)
  bytes.set(text.split('.').map(Number), at + 12)
}
