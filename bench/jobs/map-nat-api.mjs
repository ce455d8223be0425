// @silentbot1/nat-api, used as in its README, with one of its clients switched off or with both.
import NatAPI from '@silentbot1/nat-api'
import { runJob } from './job.mjs'

const [, , protocol] = process.argv

await runJob({
  prepare: async () => ({}),
  async call(port, held) {
    held.client = new NatAPI({ enablePMP: protocol !== 'upnp', enableUPNP: protocol !== 'nat-pmp' })
    const mapped = await held.client.map({ publicPort: port, privatePort: port, protocol: 'TCP' })
    if (!mapped) throw new Error('map() resolves to false')
  },
  end: ({ client }) => client?.destroy()
})
