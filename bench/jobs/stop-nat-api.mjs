// Times how long @silentbot1/nat-api takes to release ten NAT-PMP mappings.
import NatAPI from '@silentbot1/nat-api'
import { runJob } from './job.mjs'

const mappings = 10

await runJob({
  async prepare(port) {
    const client = new NatAPI({ enableUPNP: false })
    for (let each = port; each < port + mappings; each++) {
      await client.map({ publicPort: each, privatePort: each, protocol: 'TCP' })
    }
    return { client }
  },
  call: (_port, { client }) => client.destroy()
})
