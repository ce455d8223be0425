// The bare exchanges of the protocol: the external address, then the mapping, over one socket.
import {
  decodeExternalAddressReply,
  decodeMappingReply,
  encodeExternalAddressRequest,
  encodeMappingRequest,
  natPmpPort
} from '../../packages/nat-pmp/dist/codec.js'
import { openExchange } from './exchange.mjs'
import { runJob } from './job.mjs'

const [, , router] = process.argv

await runJob({
  async call(port) {
    const request = { protocol: 'tcp', internalPort: port, suggestedExternalPort: port, lifetimeSeconds: 7200 }
    const { ask, close } = await openExchange(router, natPmpPort)
    decodeExternalAddressReply(await ask(encodeExternalAddressRequest()))
    decodeMappingReply(await ask(encodeMappingRequest(request)), request)
    close()
  }
})
