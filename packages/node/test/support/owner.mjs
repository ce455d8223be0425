// A process, worker thread or cluster worker that opens stores when it is told to.
import { parentPort } from 'node:worker_threads'
import { fileStore } from '../../dist/index.js'

const port = parentPort ?? process
const tell = parentPort === null ? (message) => process.send(message) : parentPort.postMessage.bind(parentPort)
const stores = new Map()

port.on('message', async ({ does, path, atMs = 0, memories = [] }) => {
  if (does === 'close') {
    await stores.get(path)?.close()
    return tell({ closed: true })
  }
  const warnings = []
  const store = stores.get(path) ?? fileStore({ path, warn: ({ message }) => warnings.push(message) })
  stores.set(path, store)
  // All of a race begin at the same moment.
  while (Date.now() < atMs);
  const known = await store.load()
  if (does === 'save') await store.save(memories)
  tell({ pid: process.pid, known: known.length, warnings })
})
if (parentPort === null) process.on('disconnect', () => process.exit())
tell({ ready: true })
