import type { Finding, Mapper } from '@postern/interface'
import {
  createGateway,
  createPersonality,
  type FakeGateway,
  listen,
  personalities,
  systemClock
} from '@postern/testkit'
import { expect, it } from 'vitest'
import { upnp } from '../src/index.js'
import { call } from './bench.js'

/** Documents and headers that only a real connection can test. */
const written = personalities.filter(
  ({ faults = [], expected }) =>
    expected.mappedBy === 'upnp' &&
    faults.length > 0 &&
    faults.every(
      ({ kind, action }: { kind: string; action?: string }) => ['http', 'xml'].includes(kind) && action === undefined
    )
)

it('upnp maps through real sockets', () =>
  mapThrough(createGateway({ externalAddress: '11.0.0.2', protocols: ['upnp'] })))

it.each(written.map((each) => [each.name, each] as const))('upnp maps through real sockets: %s', (_name, personality) =>
  mapThrough(createPersonality(personality, { clock: systemClock }))
)

async function mapThrough(gateway: FakeGateway): Promise<void> {
  const listening = await listen(gateway)
  const end = new AbortController()
  try {
    const log = { debug: () => undefined, info: () => undefined }
    const options = { gateway: listening.address, ssdpPort: listening.ports.ssdp }
    const discovery = upnp(options)({ clock: systemClock, random: Math.random, log })
    const found = Promise.withResolvers<Mapper>()
    const running = discovery.discover(
      { gateways: [], addresses: [] },
      (finding: Finding) => {
        if (finding.kind === 'mapper') found.resolve(finding)
      },
      end
    )
    const mapper = await found.promise
    const address = mapper.gateway?.localAddress ?? ''
    const lease = await mapper.map(
      {
        endpoint: { protocol: 'tcp', family: 4, address, port: 8080 },
        suggestedExternalPort: 8080,
        lifetimeMs: 3_600_000,
        key: new Uint8Array(16)
      },
      call()
    )
    expect(lease.addresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    await lease.release(call())
    expect(gateway.mappings).toEqual([])
    end.abort()
    await running
    expect(gateway.violations).toEqual([])
  } finally {
    end.abort()
    await listening.close()
  }
}
