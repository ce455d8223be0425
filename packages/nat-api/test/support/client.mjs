// A program with one client. Takes the name of a method and its arguments, as one JSON array in a line on standard
// input, and prints the result as JSON: `[true]`, or `[null, "<message>"]` if it rejects. The argument is the options.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import Client from '@postern/nat-api'

const client = new Client(JSON.parse(process.argv[2] ?? '{}'))
const server = createServer((request, response) => response.end(`from ${request.socket.remoteAddress}`))
// A second program in the same host uses the server of the first.
server.on('error', () => undefined)
server.listen(2000).unref()
for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...args] = JSON.parse(line)
  try {
    console.log(JSON.stringify([await client[method](...args)]))
  } catch (error) {
    console.log(JSON.stringify([null, error.message]))
  }
}
