// A plain server behind the testkit's gateway on loopback, with the packages that any runtime should run.
import { strict as assert } from 'node:assert'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createTraversal, memoryStore } from '@postern/core'
import { manual } from '@postern/manual'
import { natPmp } from '@postern/nat-pmp'
import { expose } from '@postern/node'
import { pcp } from '@postern/pcp'
import { stun } from '@postern/stun'
import { createGateway, listen } from '@postern/testkit'
import { upnp } from '@postern/upnp'

assert.equal(typeof createTraversal, 'function')
assert.equal(typeof stun({ servers: ['127.0.0.1'] }), 'function')
assert.equal(typeof manual({ address: '/ip4/203.0.113.7/tcp/8080' }), 'function')

const gateway = createGateway({ externalAddress: '11.0.0.2' })
const { address, close } = await listen(gateway)
const server = createServer().listen(0, '127.0.0.1')
await once(server, 'listening')
for (const [name, strategy] of Object.entries({ pcp, natPmp, upnp })) {
  const exposure = await expose(server, { strategies: [strategy({ gateway: address })], store: memoryStore() })
  assert.match(String(exposure.addresses), /^\/ip4\/11\.0\.0\.2\/tcp\/\d+$/, name)
  assert.equal(gateway.mappings.length, 1, name)
  await exposure.close()
  assert.equal(gateway.mappings.length, 0, name)
}
server.close()
await close()
console.log('mapped and released')
