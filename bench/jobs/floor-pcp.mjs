// The bare exchange of the protocol: one MAP request over one socket.
import { decodeMappingReply, encodeMappingRequest, pcpPort } from '../../packages/pcp/dist/codec.js'
import { ownAddress } from './endpoint.mjs'
import { openExchange } from './exchange.mjs'
import { runJob } from './job.mjs'

const [, , router] = process.argv
const address = ownAddress()
const nonce = crypto.getRandomValues(new Uint8Array(12))

await runJob({
  async call(port) {
    const request = {
      protocol: 'tcp',
      internalPort: port,
      nonce,
      suggestedExternalPort: port,
      suggestedExternalAddress: '::ffff:0:0',
      lifetimeSeconds: 7200
    }
    const { ask, close } = await openExchange(router, pcpPort)
    const reply = decodeMappingReply(await ask(encodeMappingRequest(request, address)), request)
    close()
    if (reply?.result !== 0) throw new Error(`result ${reply?.result}`)
  }
})
