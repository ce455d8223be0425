import { once } from 'node:events'
import { createServer } from 'node:net'
import { memoryStore } from '@postern/core'
import { expect, it, onTestFinished } from 'vitest'
import { expose, fileStore } from '../src/index.js'

const options = { strategies: 'none', store: memoryStore(), findNetwork: async () => ({ gateways: [], addresses: [] }) }
const closed = ['This exposure is closed, and its mappings are given back: call expose() again.']

it('an exposure that is closed before its server listens does not promise to expose it', async () => {
  const cut = new AbortController()
  const waiting = expose(createServer(), { ...options, signal: cut.signal })
  cut.abort()
  expect((await waiting).report().advice).toEqual(closed)
})

it('an exposure with an aborted signal does not promise to expose the server', async () => {
  const exposure = await expose(createServer(), { ...options, signal: AbortSignal.abort() })
  await exposure.close()
  expect(exposure.report().advice).toEqual(closed)
})

it('a closed exposure says so, and one with a closed server keeps that advice', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const exposure = await expose(server, options)
  await exposure.close()
  expect(exposure.report().advice).toEqual(closed)
  const other = await expose(server, options)
  server.close()
  await once(server, 'close')
  await other.close()
  expect(other.report().advice).toEqual([expect.stringMatching(/^The server has closed/)])
})

it('an exposure ends when it is disposed', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  const exposure = await expose(server, options)
  expect(exposure[Symbol.asyncDispose]).toBe(exposure.close)
  await exposure[Symbol.asyncDispose]()
  expect(server.listening).toBe(true)
  await fileStore({ path: 'never-opened.json' })[Symbol.asyncDispose]()
})

it('an exposure gives advice after the server has closed', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  const exposure = await expose(server, options)
  server.close()
  await once(server, 'close')
  await exposure.close()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  expect(exposure.report()).toMatchObject({
    verdict: 'unknown',
    advice: [expect.stringContaining('call expose() again')]
  })
})
