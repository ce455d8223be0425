// node start.ts me@server.example 203.0.113.7
import { createServer } from 'node:http'
import { expose } from '@postern/node'
import { ssh } from './ssh.ts'

const [destination, address] = process.argv.slice(2)
if (destination === undefined || address === undefined) throw new TypeError('usage: start <user@server> <its address>')

const server = createServer((_request, response) => response.end('Hello through ssh\n'))
server.listen(Number(process.env.PORT ?? 8080))
const exposure = await expose(server, { strategies: [ssh(destination, address)], releaseOnExit: true })
console.log(exposure.report().verdict, ...exposure.addresses)
