// A home with a web server that Postern exposes. Arguments: strategies as text, the options of ssh() as JSON. Prints what it claims whenever that changes.
import { once } from 'node:events'
import { memoryStore } from '@postern/core'
import { expose, parseLadder } from '@postern/node'
import { ssh } from '@postern/ssh'
import { webServer } from './web-server.mjs'

const [, , text, sshOptions] = process.argv
const strategies = [...parseLadder(text), ssh(JSON.parse(sshOptions))]
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
