import type { Clock } from '@postern/interface'
import { exchangeHttp, openUdp } from '@postern/net'
import { expect, test } from 'vitest'
import { createGateway, listen, systemClock } from '../src/index.js'
import { hex, never } from './helpers.js'

/** Counts sockets only. Timers of the test runner would be included, so timers are counted at the clock. */
const sockets = (): string[] =>
  process
    .getActiveResourcesInfo()
    .filter((each) => /UDP|TCP/.test(each))
    .sort()

test('close leaves no socket and no timer, and is idempotent', async () => {
  let sleeping = 0
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, call) {
      sleeping += 1
      try {
        await systemClock.sleep(ms, call)
      } finally {
        sleeping -= 1
      }
    }
  }
  const before = sockets()
  const gateway = createGateway({ clock })
  gateway.inject({ kind: 'late', ms: 60_000, on: 'nat-pmp' })
  gateway.inject({ kind: 'http', what: 'slow-headers' })
  const { address, ports, close } = await listen(gateway)
  const client = await openUdp(
    {
      family: 4,
      remote: { address, port: ports.portMapping },
      onMessage: () => undefined,
      onError: () => undefined
    },
    { signal: never }
  )
  client.send(hex('0000'))
  const url = new URL(`http://${address}:${ports.http}/rootDesc.xml`)
  await expect(
    exchangeHttp({ url, maxBytes: 1000, timeoutMs: 50, clock: systemClock }, { signal: never })
  ).rejects.toMatchObject({ code: 'NO_REPLY' })
  expect(gateway.counters['nat-pmp'].requests).toBe(1)
  expect(sleeping).toBeGreaterThan(0)
  client.close()
  await close()
  await close()
  await new Promise((resolve) => setImmediate(resolve))
  expect(sleeping).toBe(0)
  expect(sockets()).toEqual(before)
})
