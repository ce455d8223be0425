// Serves a page with an open browser. Says what keeps the process alive, or that it ends by itself.
import { get } from 'node:http'
import { statusPage } from '@postern/status'

const source = { report: () => ({}), addEventListener: () => undefined }
const page = await statusPage(source)
if (process.argv[2] === 'unref') page.unref()
process.stdout.write('served\n')
const sent = get(page.url, { agent: false }, (response) => {
  response.resume().on('end', () => {
    response.socket.unref()
    const [holding] = process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap')
    if (holding === undefined) return
    process.stdout.write(`held by ${holding}\n`)
    process.exit(0)
  })
})
let isOver = false
sent.on('error', () => undefined)
process.on('beforeExit', () => {
  if (!isOver) process.stdout.write('ended\n')
  isOver = true
})
