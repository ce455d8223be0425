// A home with a web server whose port nat-api maps, as in its README. Prints what it claims.
import { once } from 'node:events'
import NatAPI from '@silentbot1/nat-api'
import { webServer } from './web-server.mjs'

const port = 4001
await once(webServer().listen(port, '0.0.0.0'), 'listening')
const client = new NatAPI({ enablePMP: true, enableUPNP: true })
const isMapped = await client.map({ publicPort: port, privatePort: port, protocol: 'TCP' }).catch(() => false)
const address = isMapped ? await client.externalIp().catch(() => '') : ''
console.log(JSON.stringify({ final: true, claims: address === '' ? [] : [`http://${address}:${port}/`] }))
process.stdin.resume().on('end', () => process.exit())
