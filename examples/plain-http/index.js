import { createServer } from 'node:http'
import { expose } from '@postern/node'

const server = createServer((_request, response) => response.end('Hello from behind the NAT\n'))
server.listen(8080)

const exposure = await expose(server, { releaseOnExit: true })
const { verdict, cause, advice } = exposure.report()
console.log(verdict, cause ?? '', ...exposure.addresses)
for (const sentence of advice) console.log('→', sentence)
