import type { Lease, Mapper, MapRequest, Strategy } from '@postern/interface'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import {
  createTraversal,
  type EndpointOwners,
  type MappingEvent,
  type Memory,
  memoryStore,
  type Owner,
  type Store,
  type Traversal
} from '../../src/index.js'

const other: Owner = { pid: 4711, program: 'server' }
const key = 'ab'.repeat(16)
const router = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }

interface Told {
  readonly asked: MapRequest[]
  readonly askedMs: number[]
  readonly store: Store
  released: number
  readonly events: MappingEvent[]
}

/** Creates a traversal that wants port 8080 at a router that grants everything. */
async function run(
  clock: VirtualClock,
  owners: EndpointOwners,
  memories: readonly Memory[] = [],
  discoverMs = 0
): Promise<Told & { traversal: Traversal }> {
  const store = memoryStore(memories)
  const told: Told = { asked: [], askedMs: [], store, released: 0, events: [] }
  const grant = (port: number): Lease => ({
    addresses: [`/ip4/11.0.0.2/tcp/${port}`],
    lifetimeMs: 7_200_000,
    renew: async () => grant(port),
    release: async () => void told.released++
  })
  const mapper: Mapper = {
    kind: 'mapper',
    gateway: router,
    family: 4,
    protocols: ['tcp', 'udp'],
    async map(request) {
      told.asked.push(request)
      told.askedMs.push(clock.monotonicMs())
      return grant(request.suggestedExternalPort)
    }
  }
  const strategy: Strategy = () => ({
    name: 'granting',
    async discover(_, found, call) {
      if (discoverMs === Number.POSITIVE_INFINITY) return
      await clock.sleep(discoverMs, call)
      found(mapper)
    }
  })
  const host = { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
  const traversal = createTraversal({ strategies: [strategy], host, owners, store })
  for (const name of ['mapped', 'renewed', 'released', 'shared'] as const) {
    traversal.addEventListener(name, ({ detail }) => told.events.push(detail))
  }
  traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 })
  traversal.setNetwork({ gateways: [router], addresses: ['192.168.1.2'] })
  await traversal.start()
  await clock.advance(5000)
  return Object.assign(told, { traversal })
}

async function stop(clock: VirtualClock, traversal: Traversal): Promise<void> {
  const stopped = traversal.stop()
  await clock.advance(10_000)
  await stopped
  expect(clock.pending).toBe(0)
}

/** Creates owners among which another program holds every mapping while `here` is not empty. */
function sharing(here: { owners: readonly Owner[]; changed?: () => void; ended?: number }): EndpointOwners {
  return {
    holders: async () => here.owners,
    join(_, changed) {
      here.changed = changed
      return {
        agree: async (_gateway, own) => (here.owners.length > 0 ? key : own),
        holds: () => undefined,
        others: async () => here.owners,
        leave: async () => here.owners,
        end: async () => void (here.ended = (here.ended ?? 0) + 1)
      }
    }
  }
}

it('a traversal agrees on the key while it looks for the router', async () => {
  const clock = virtualClock()
  const agreed: string[] = []
  const slow: EndpointOwners = {
    holders: async () => [],
    join: () => ({
      async agree(gateway) {
        agreed.push(gateway)
        await clock.sleep(50, { signal: new AbortController().signal })
        return key
      },
      holds: () => undefined,
      others: async () => [],
      leave: async () => [],
      end: async () => undefined
    })
  }
  const startedMs = clock.monotonicMs()
  const told = await run(clock, slow, [], 60)
  expect(told.askedMs.map((ms) => ms - startedMs)).toEqual([60])
  expect(told.asked.map((each) => Buffer.from(each.key).toString('hex'))).toEqual([key])
  expect(agreed).toEqual([router.address])
  await stop(clock, told.traversal)
})

it('a traversal that finds no router ends what it agreed on, and remembers nothing', async () => {
  const clock = virtualClock()
  const here: Parameters<typeof sharing>[0] = { owners: [] }
  const told = await run(clock, sharing(here), [], Number.POSITIVE_INFINITY)
  await stop(clock, told.traversal)
  expect([told.asked, here.ended, await told.store.load()]).toEqual([[], 1, []])
})

it('a traversal uses the key of the other owners, reports them, and leaves the mapping to them', async () => {
  const clock = virtualClock()
  const here: Parameters<typeof sharing>[0] = { owners: [other] }
  const told = await run(clock, sharing(here))
  expect(told.asked.map((each) => Buffer.from(each.key).toString('hex'))).toEqual([key])
  expect(told.events.map(({ event, owners }) => [event, owners])).toEqual([
    ['mapped', undefined],
    ['shared', [other]]
  ])
  await stop(clock, told.traversal)
  expect(told.released).toBe(0)
  expect(told.events.at(-1)).toMatchObject({ event: 'shared', owners: [other] })
  expect(here.ended).toBe(1)
})

it('a traversal requests the mapping again when another owner has left, and deletes it as the last owner', async () => {
  const clock = virtualClock()
  const here: Parameters<typeof sharing>[0] = { owners: [other] }
  const told = await run(clock, sharing(here))
  here.owners = []
  here.changed?.()
  await clock.advance(5000)
  expect(told.events.map(({ event }) => event)).toEqual(['mapped', 'shared', 'renewed'])
  await stop(clock, told.traversal)
  expect(told.released).toBe(1)
  expect(told.events.at(-1)?.event).toBe('released')
})

it('a traversal does not delete a mapping of an earlier run that another owner holds now', async () => {
  const left: Memory = {
    gateway: { address: router.address, mac: null },
    endpoint: { protocol: 'tcp', family: 4, address: '192.168.1.2', port: 9090 },
    strategy: 'granting',
    key,
    externalPort: 9090,
    wantedPort: null,
    expiresAt: null,
    verifiedAt: null
  }
  for (const owners of [[other], []]) {
    const clock = virtualClock()
    const told = await run(clock, sharing({ owners }), [left])
    await clock.advance(60_000)
    const ports = told.asked.map(({ endpoint }) => endpoint.port)
    expect(ports).toEqual(owners.length > 0 ? [8080] : [8080, 9090])
    await stop(clock, told.traversal)
  }
})

it('a traversal maps and stops although the owners do not answer', async () => {
  const clock = virtualClock()
  const never = (): Promise<never> => new Promise(() => undefined)
  const silent: EndpointOwners = {
    holders: never,
    join: () => ({ agree: never, holds: () => undefined, others: never, leave: never, end: never })
  }
  const told = await run(clock, silent)
  expect(told.events.map(({ event }) => event)).toEqual(['mapped'])
  await stop(clock, told.traversal)
  expect(told.released).toBe(1)
})
