import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { askBeyond, type OpenUdp, openBeyond } from '../../src/index.js'

const gateway = { address: '192.168.0.1', interface: 'eth0', localAddress: '192.168.1.2' }

/** Asks a router that answers after some time if the time to live of the question is long enough. */
async function ask({ minTtl, takesMs = 5 }: { minTtl: number; takesMs?: number }): Promise<{
  readonly outcome: string
  readonly ttls: readonly (number | undefined)[]
  readonly tookMs: number
}> {
  const clock = virtualClock()
  const ttls: (number | undefined)[] = []
  const open: OpenUdp = async ({ ttl, onMessage, local }, { signal }) => ({
    local: { address: local?.address ?? '', port: 50_000 },
    send() {
      ttls.push(ttl)
      if ((ttl ?? 64) < minTtl) return
      clock.sleep(takesMs, { signal }).then(
        () => onMessage(Uint8Array.of(1), { address: gateway.address, port: 5351 }),
        () => undefined
      )
    },
    close: () => undefined
  })
  let outcome = ''
  let tookMs = 0
  const controller = new AbortController()
  const asked = askBeyond(
    { gateway, port: 5351, bytes: new Uint8Array(2), match: (bytes) => bytes[0], clock, open },
    controller
  ).then(
    () => (outcome = 'beyond'),
    (error: unknown) => (outcome = error instanceof Error && 'code' in error ? String(error.code) : String(error))
  )
  for (; outcome === '' && tookMs < 60_000; tookMs += 5) await clock.advance(5)
  await asked
  expect(clock.pending).toBe(0)
  return { outcome, ttls, tookMs }
}

describe('askBeyond', () => {
  it('finds a router that answers at a time to live of 2 and not at 1', async () => {
    const { outcome, ttls, tookMs } = await ask({ minTtl: 2 })
    expect([outcome, ttls]).toEqual(['beyond', [2, 1, 1]])
    expect(tookMs).toBeLessThanOrEqual(110)
  })

  it('leaves out what answers at a time to live of 1: the next hop', async () => {
    expect(await ask({ minTtl: 1 })).toMatchObject({ outcome: 'SECONDARY_GATEWAY', ttls: [2, 1] })
  })

  it('waits for a slow next hop as long as its first answer shows', async () => {
    expect((await ask({ minTtl: 1, takesMs: 1000 })).outcome).toBe('SECONDARY_GATEWAY')
    expect((await ask({ minTtl: 2, takesMs: 1000 })).outcome).toBe('beyond')
  })

  it('sends nothing that passes the router behind the next hop, and gives up after one round', async () => {
    const { outcome, ttls, tookMs } = await ask({ minTtl: 3 })
    expect([outcome, ttls]).toEqual(['NO_REPLY', [2, 2, 2, 2]])
    expect(tookMs).toBeLessThanOrEqual(4000)
  })
})

it('openBeyond opens sockets whose datagrams do not pass the router behind the next hop', async () => {
  const ttls: (number | undefined)[] = []
  const open = openBeyond(async ({ ttl }) => {
    ttls.push(ttl)
    return { local: { address: '', port: 0 }, send: () => undefined, close: () => undefined }
  })
  await open({ family: 4, onMessage: () => undefined, onError: () => undefined }, new AbortController())
  expect(ttls).toEqual([2])
})
