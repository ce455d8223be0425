import { natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import { seek } from '../../src/index.js'

const gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }
const waitsMs = [250, 500, 1000, 2000, 4000]

/** A service that is found at 0 ms. After that, `answers` says for each question whether it is answered. */
async function found(answers: (count: number) => boolean): Promise<{
  readonly announce: () => void
  readonly advance: (ms: number) => Promise<void>
  /** The time of each question, and its number of transmissions. */
  readonly asked: readonly (readonly [number, number])[]
  readonly stop: () => Promise<void>
}> {
  const clock = virtualClock()
  const asked: [number, number][] = []
  let announce: (() => void) | undefined
  let isFound = false
  const cut = new AbortController()
  const seeking = seek(
    {
      clock,
      isFound: () => isFound,
      waitsMs,
      async ask(waits, call) {
        if (!isFound) return void (isFound = true)
        asked.push([clock.monotonicMs(), waits.length])
        if (answers(asked.length)) return
        await clock.sleep(
          waits.reduce((sum, ms) => sum + ms, 0),
          call
        )
        throw natError('NO_REPLY', 'silence')
      },
      announcements: {
        gateway,
        family: 4,
        group: '224.0.0.1',
        port: 5350,
        async open({ onMessage, local }) {
          announce = () => onMessage(new Uint8Array(2), { address: gateway.address, port: 5351 })
          return {
            local: { address: gateway.localAddress, port: local?.port ?? 0 },
            send: () => undefined,
            close: () => undefined
          }
        }
      }
    },
    cut
  )
  await clock.advance(10_000)
  return {
    announce: () => announce?.(),
    advance: clock.advance,
    asked,
    async stop() {
      cut.abort()
      await seeking
      expect(clock.pending).toBe(0)
    }
  }
}

it('seek asks a known service once if it answers', async () => {
  const service = await found(() => true)
  service.announce()
  await service.advance(60_000)
  expect(service.asked).toEqual([[10_000, 2]])
  await service.stop()
})

it('seek asks a service that announced itself again after lost datagrams', async () => {
  const service = await found((count) => count === 3)
  service.announce()
  await service.advance(60_000)
  // Each question takes 750 ms, with pauses of 1 s and 2 s in between.
  expect(service.asked.map(([atMs]) => atMs)).toEqual([10_000, 11_750, 14_500])
  await service.stop()
})

it('seek gives up on an announcement after four questions, since it may be forged', async () => {
  const service = await found(() => false)
  service.announce()
  await service.advance(60_000)
  expect(service.asked).toHaveLength(4)
  await service.stop()
})

it('seek stops while it waits to ask again', async () => {
  const service = await found(() => false)
  service.announce()
  await service.advance(1000)
  await service.stop()
  expect(service.asked).toHaveLength(1)
})
