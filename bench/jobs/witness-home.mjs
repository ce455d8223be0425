// A home: `<ladder> mapped|verified`. Prints the time from expose() to that event, in a fresh process.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { memoryStore } from '@postern/core'
import { expose } from '@postern/node'

const [, , strategies, name] = process.argv
const server = createServer().listen(8080, '0.0.0.0')
await once(server, 'listening')
const happened = Promise.withResolvers()
const startedMs = performance.now()
const exposure = await expose(server, {
  strategies,
  store: memoryStore(),
  on: { [name]: () => happened.resolve(performance.now()) }
})
const ms = (await happened.promise) - startedMs
console.log(JSON.stringify({ ms }))
await exposure.close()
process.exit()
