import { requestUdp } from '@postern/net'
import { expect, test } from 'vitest'
import { createGateway, memoryNetwork, virtualClock } from '../src/index.js'
import { hex, never, text } from './helpers.js'

/** Returns a generator of the same numbers in [0, 1) for each seed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const ignore = { onMessage: () => undefined, onError: () => undefined }

test('the network delivers datagrams between hosts, and only to their destination', async () => {
  const clock = virtualClock()
  const network = memoryNetwork({ clock, delayMs: 5 })
  const heard: string[] = []
  const call = { signal: never }
  const first = await network.host('10.0.0.1').openUdp({ family: 4, local: { port: 4000 }, ...ignore }, call)
  const listener = (name: string, peer: string, port: number) =>
    network.host('10.0.0.2').openUdp(
      {
        family: 4,
        local: { port },
        remote: { address: peer, port: 4000 },
        onMessage: (bytes, from) => heard.push(`${name} ${text(bytes)} from ${from.address}:${from.port}`),
        onError: ignore.onError
      },
      call
    )
  await listener('friend', '10.0.0.1', 5000)
  await listener('stranger', '10.0.0.9', 5001)
  for (const port of [5000, 5001]) first.send(hex('2a'), { address: '10.0.0.2', port })
  await clock.advance(4)
  expect(heard).toEqual([])
  await clock.advance(1)
  expect(heard).toEqual(['friend 2a from 10.0.0.1:4000'])
})

test('a port is taken until its socket is closed or aborted', async () => {
  const clock = virtualClock()
  const network = memoryNetwork({ clock })
  const { openUdp } = network.host('10.0.0.1')
  const controller = new AbortController()
  const options = { family: 4, local: { port: 4000 }, ...ignore } as const
  const socket = await openUdp(options, { signal: controller.signal })
  await expect(openUdp(options, { signal: never })).rejects.toMatchObject({ code: 'PORT_TAKEN' })
  socket.close()
  socket.close()
  await openUdp(options, { signal: controller.signal })
  expect(network.openSockets).toBe(1)
  controller.abort('over')
  expect(network.openSockets).toBe(0)
  await expect(openUdp(options, { signal: controller.signal })).rejects.toBe('over')
  await expect(openUdp({ ...options, family: 6 }, { signal: never })).rejects.toMatchObject({ code: 'UNREACHABLE' })
})

test('a datagram to a missing host gets no answer', async () => {
  const clock = virtualClock()
  const network = memoryNetwork({ clock })
  const asked = requestUdp(
    {
      remote: { address: '10.0.0.99', port: 5351 },
      family: 4,
      bytes: hex('0000'),
      waitsMs: [250, 500],
      match: (bytes) => bytes,
      clock,
      open: network.host('10.0.0.1').openUdp
    },
    { signal: never }
  ).catch((error: unknown) => error)
  await clock.advance(750)
  expect(await asked).toMatchObject({ code: 'NO_REPLY' })
  expect(network.openSockets).toBe(0)
})

test('the network loses the given percentage of datagrams, the same ones for the same seed', async () => {
  const run = async () => {
    const clock = virtualClock()
    const network = memoryNetwork({ clock, random: seeded(1), lossPercent: 10, delayMs: 3 })
    const gateway = createGateway({ clock })
    network.attach(gateway, '10.0.0.254')
    const socket = await network.host('10.0.0.1').openUdp({ family: 4, ...ignore }, { signal: never })
    for (let count = 0; count < 10_000; count += 1) socket.send(hex('0000'), { address: '10.0.0.254', port: 5351 })
    await clock.advance(10)
    return { lost: network.lost, sent: network.sent, replies: gateway.counters['nat-pmp'].replies }
  }
  const first = await run()
  expect(first.replies).toBeGreaterThan(8800)
  expect(first.replies).toBeLessThan(9200)
  expect(first.sent - first.lost).toBeGreaterThan(16_000)
  expect(await run()).toEqual(first)
})

test('a detached gateway no longer answers', async () => {
  const clock = virtualClock()
  const network = memoryNetwork({ clock })
  const gateway = createGateway({ clock })
  const detach = network.attach(gateway, '10.0.0.254')
  const socket = await network.host('10.0.0.1').openUdp({ family: 4, ...ignore }, { signal: never })
  detach()
  socket.send(hex('0000'), { address: '10.0.0.254', port: 5351 })
  await clock.advance(0)
  expect(gateway.counters['nat-pmp'].requests).toBe(0)
})

test('the network runs a hundred hosts through a week of renewals', async () => {
  const clock = virtualClock()
  const random = seeded(7)
  const network = memoryNetwork({ clock, random, lossPercent: 10, delayMs: 2 })
  const end = new AbortController()
  const gateways = Array.from({ length: 100 }, (_, index) => {
    const gateway = createGateway({ clock, random, protocols: ['nat-pmp'] })
    const address = `10.${index >> 8}.${index & 255}.1`
    network.attach(gateway, address)
    const host = network.host(address.replace(/1$/, '2'))
    const live = async (): Promise<void> => {
      for (;;) {
        await requestUdp(
          {
            remote: { address, port: 5351 },
            family: 4,
            bytes: hex('00 02 0000 1f90 1f90 00001c20'),
            waitsMs: [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000],
            match: (bytes) => bytes,
            clock,
            open: host.openUdp
          },
          { signal: end.signal }
        ).catch((error: unknown) => {
          if (end.signal.aborted) throw error
        })
        await clock.sleep(3_600_000 * (0.9 + 0.1 * random()), { signal: end.signal })
      }
    }
    live().catch(() => undefined)
    return gateway
  })
  const days = 7
  await clock.advance(days * 86_400_000)
  end.abort()
  expect(gateways.every(({ mappings }) => mappings.length === 1)).toBe(true)
  expect(gateways.every(({ counters }) => counters['nat-pmp'].maps === 1)).toBe(true)
  expect(network.openSockets).toBe(0)
}, 60_000)
