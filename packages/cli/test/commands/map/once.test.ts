import { createTraversal, type Traversal } from '@postern/core'
import { type Mapper, type Network, natError, type Strategy } from '@postern/interface'
import { parsePlainLadder } from '@postern/node'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { reasonsForNothing, untilNothingCanCome } from '../../../src/commands/map/once.js'

const nowhere: Network = { gateways: [], addresses: [] }
const router = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }
const home: Network = { gateways: [router], addresses: ['192.168.1.2'] }

/** Starts a traversal for one port. */
async function wanting(strategies: (clock: VirtualClock) => readonly Strategy[], network: Network) {
  const clock = virtualClock()
  const host = { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
  const traversal = createTraversal({ strategies: strategies(clock), host })
  const told: string[] = []
  for (const name of ['mapped', 'failed'] as const) traversal.addEventListener(name, () => told.push(name))
  traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 })
  traversal.setNetwork(network)
  await traversal.start()
  return { clock, traversal, told }
}

/** Returns when it resolved, on the virtual clock. */
async function endOf(traversal: Traversal, clock: VirtualClock): Promise<number> {
  let endMs = Number.NaN
  void untilNothingCanCome(traversal, clock, new AbortController()).then(() => (endMs = clock.monotonicMs()))
  for (let count = 0; count < 400 && Number.isNaN(endMs); count++) await clock.advance(100)
  return endMs
}

async function stop(traversal: Traversal, clock: VirtualClock): Promise<void> {
  const stopped = traversal.stop()
  await clock.advance(5000)
  await stopped
  expect(clock.pending).toBe(0)
}

describe('untilNothingCanCome', () => {
  it('untilNothingCanCome resolves soon without a strategy that maps', async () => {
    const observer: Strategy = () => ({ name: 'stun', kind: 'observer', discover: async () => undefined })
    const { clock, traversal } = await wanting(() => [observer], home)
    expect(await endOf(traversal, clock)).toBeLessThanOrEqual(1200)
    const [reason] = reasonsForNothing(traversal.report(), home, 4)
    expect(reason).toMatchObject({ strategy: 'stun', code: 'NO_SERVICE' })
    await stop(traversal, clock)
  })

  it('untilNothingCanCome resolves after a while if the found mapper has nothing to map', async () => {
    const { clock, traversal, told } = await wanting(() => parsePlainLadder('manual:8.8.8.8:80'), nowhere)
    expect(await endOf(traversal, clock)).toBeLessThanOrEqual(6000)
    expect(told).toEqual([])
    expect(reasonsForNothing(traversal.report(), nowhere, 4)).toEqual([
      { strategy: 'manual', code: 'UNREACHABLE', message: 'this host has no IPv4 address on a network' }
    ])
    await stop(traversal, clock)
  })

  it('untilNothingCanCome does not resolve while a slow router is asked', async () => {
    const slow =
      (clock: VirtualClock): Strategy =>
      () => ({
        name: 'slow',
        kind: 'mapper',
        async discover(_network, found, call) {
          await clock.sleep(3000, call)
          const map: Mapper['map'] = async ({ endpoint }, each) => {
            await clock.sleep(1900, each)
            throw natError('NOT_AUTHORIZED', `no port for ${endpoint.port}`)
          }
          found({ kind: 'mapper', gateway: router, family: 4, protocols: ['tcp'], map })
        }
      })
    const { clock, traversal, told } = await wanting((each) => [slow(each)], home)
    expect(await endOf(traversal, clock)).toBeGreaterThan(4900)
    expect(told).toEqual(['failed'])
    await stop(traversal, clock)
  })

  it('untilNothingCanCome resolves for a silent strategy, and rejects when it is aborted', async () => {
    const deaf: Strategy = () => ({
      name: 'deaf',
      kind: 'mapper',
      discover: (_network, _found, { signal }) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    })
    const { clock, traversal } = await wanting(() => [deaf], home)
    const abort = new AbortController()
    const aborted = untilNothingCanCome(traversal, clock, abort).catch((error: unknown) => error)
    abort.abort(new Error('enough'))
    expect(await endOf(traversal, clock)).toBeLessThanOrEqual(31_500)
    expect(await aborted).toEqual(new Error('enough'))
    await stop(traversal, clock)
  })
})
