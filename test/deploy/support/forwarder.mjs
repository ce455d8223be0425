// Answers requests at a Unix socket with the metrics at a port of 127.0.0.1: forwarder.mjs <path> <port>. A Unix socket can
// be reached from another network namespace. Prints one line when it listens.
import { createServer, get } from 'node:http'

const [path, port] = process.argv.slice(2)
createServer(({ url }, response) => {
  get(`http://127.0.0.1:${port}${url}`, (reply) => {
    response.writeHead(reply.statusCode ?? 502, { 'content-type': reply.headers['content-type'] ?? 'text/plain' })
    reply.pipe(response)
  }).on('error', () => response.writeHead(502).end())
}).listen(path, () => console.log('listens'))
