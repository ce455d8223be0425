import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { ExposableServer } from '../../src/index.js'
import { endpointsOf } from '../../src/server/endpoints.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function bound<S extends ExposableServer>(server: S): Promise<S> {
  cleanups.push(() => server.close())
  await once(server, 'listening')
  return server
}

describe('the endpoints of a server', () => {
  const families = async (server: ExposableServer): Promise<readonly number[]> =>
    (await endpointsOf(await bound(server))).map(({ family }) => family)

  it.each([
    ['net', (ipv6Only: boolean) => createServer().listen({ host: '::', port: 0, ipv6Only })],
    ['http', (ipv6Only: boolean) => createHttpServer().listen({ host: '::', port: 0, ipv6Only })],
    ['dgram', (ipv6Only: boolean) => createSocket({ type: 'udp6', ipv6Only }).bind(0, '::')]
  ])('endpointsOf returns both families for %s on ::, unless it accepts only IPv6', async (_, create) => {
    expect(await families(create(false))).toEqual([4, 6])
    expect(await families(create(true))).toEqual([6])
  })

  it.runIf(process.platform === 'linux')(
    'endpointsOf returns only IPv6 if another program has the port on IPv4',
    async () => {
      const own = await bound(createServer().listen({ host: '::', port: 0, ipv6Only: true }))
      const address = own.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      await bound(createServer().listen(port, '0.0.0.0'))
      expect((await endpointsOf(own)).map(({ family }) => family)).toEqual([6])
    }
  )
})
