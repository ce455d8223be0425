// node start.ts me@server.example 203.0.113.7 [<port of the server>]
import { createServer } from 'node:http'
import { expose } from '@postern/node'
import { ssh } from './ssh.ts'

const [destination, address, port = '8080'] = process.argv.slice(2)
if (destination === undefined || address === undefined)
  throw new TypeError('usage: start <user@server> <its address> [<port>]')

const server = createServer((_request, response) => response.end('Hello through ssh\n'))
server.listen(Number(process.env.PORT ?? 8080))
await expose(server, {
  strategies: [ssh(destination, address)],
  externalPort: Number(port),
  releaseOnExit: true,
  on: {
    mapped: ({ detail: { external } }) => console.log(`http://${external?.address}:${external?.port}/`),
    lost: () => console.log('the connection to the server was lost, and is made again'),
    failed: ({ detail: { reasons = [] } }) => console.log(...reasons.map(({ message }) => message))
  }
})
