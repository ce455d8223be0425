// A home with a web server that Postern exposes. Argument: the strategies. Prints what it claims whenever that changes.
import { once } from 'node:events'
import { memoryStore } from '@postern/core'
import { expose } from '@postern/node'
import { webServer } from './web-server.mjs'

const [, , strategies] = process.argv
const server = webServer().listen(4001, '::')
await once(server, 'listening')
let told = ''
const exposure = await expose(server, { strategies, store: memoryStore() })
function tell() {
  const { verdict, cause } = exposure.report()
  const line = JSON.stringify({ verdict, cause, claims: exposure.endpoints.map(({ url }) => `${url}/`) })
  if (line !== told) console.log(line)
  told = line
}
tell()
setInterval(tell, 100)
process.stdin.resume().on('end', () => void exposure.close().finally(() => process.exit()))
