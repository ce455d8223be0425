// @achingbrain/nat-port-mapper without a mapping service, and without a signal that would end it: a call that fails is
// its report.
import { pmpNat, upnpNat } from '@achingbrain/nat-port-mapper'
import { ownAddress } from './endpoint.mjs'
import { runJob } from './job.mjs'

const [, , protocol, router] = process.argv

await runJob({
  async call(port) {
    if (protocol === 'nat-pmp') {
      await pmpNat(router)
        .map(port, ownAddress(), { protocol: 'tcp' })
        .then(
          () => Promise.reject(new Error('maps')),
          () => {}
        )
    } else {
      const { done } = await upnpNat().findGateways().next()
      if (!done) throw new Error('finds something')
    }
  }
})
