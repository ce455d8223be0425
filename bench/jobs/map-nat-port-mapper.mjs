// @achingbrain/nat-port-mapper, used as in its README. Its NAT-PMP client receives the address of the router.
import { pmpNat, upnpNat } from '@achingbrain/nat-port-mapper'
import { ownAddress } from './endpoint.mjs'
import { runJob } from './job.mjs'

const [, , protocol, router] = process.argv

await runJob({
  prepare: async () => ({ over: new AbortController() }),
  async call(port, held) {
    const options = { protocol: 'tcp', signal: held.over.signal }
    if (protocol === 'nat-pmp') {
      held.gateway = pmpNat(router)
    } else {
      held.gateways = upnpNat().findGateways(options)
      held.gateway = (await held.gateways.next()).value
      if (held.gateway === undefined) throw new Error('finds no gateway')
    }
    await held.gateway.map(port, ownAddress(), options)
  },
  async end({ gateway, gateways, over }) {
    await gateway?.stop({ signal: AbortSignal.timeout(1000) }).catch(() => {})
    over.abort()
    await gateways?.return()
  }
})
