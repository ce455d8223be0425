// @silentbot1/nat-api without a mapping service: `map` resolves to false.
import NatAPI from '@silentbot1/nat-api'
import { runJob } from './job.mjs'

await runJob({
  async call(port) {
    const mapped = await new NatAPI().map({ publicPort: port, privatePort: port, protocol: 'TCP' })
    if (mapped) throw new Error('map() resolves to true')
  }
})
