import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createTraversal, type Report, type Traversal } from '@postern/core'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { createGateway, type Fault, listen } from '@postern/testkit'
import { upnp } from '@postern/upnp'
import { afterEach, describe, expect, it } from 'vitest'
import { endpoint, openScene, strategyNames } from './scene.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** Starts a gateway on loopback with these faults, and a traversal that knows only this gateway. */
async function onLoopback(
  ...faults: readonly Fault[]
): Promise<{ readonly traversal: Traversal; readonly rules: () => number }> {
  const gateway = createGateway({ externalAddress: '11.0.0.2' })
  for (const fault of faults) gateway.inject(fault)
  const { address, close } = await listen(gateway)
  cleanups.push(close)
  const options = { gateway: address }
  const traversal = createTraversal({ strategies: [pcp(options), natPmp(options), upnp(options)] })
  cleanups.push(() => traversal.stop())
  traversal.setNetwork({ gateways: [], addresses: [] })
  traversal.addEndpoint({ ...endpoint(8080), address: '127.0.0.1' })
  return { traversal, rules: () => gateway.mappings.length }
}

async function firstReport(traversal: Traversal): Promise<Report> {
  await traversal.start()
  await traversal.settled()
  return traversal.report()
}

async function udpSockets(): Promise<number> {
  // A socket that was just closed counts until the next turn has ended.
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
  return process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length
}

describe('with real sockets', () => {
  it('a mapping works although another program has the port for announcements', async () => {
    const other = createSocket({ type: 'udp4', reuseAddr: false })
    cleanups.push(() => other.close())
    other.bind(5350)
    // If another program on this machine has the port already, the test still holds.
    await once(other, 'listening').catch((error: NodeJS.ErrnoException) => expect(error.code).toBe('EADDRINUSE'))
    const { traversal, rules } = await onLoopback()
    expect((await firstReport(traversal)).externalAddresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    expect(rules()).toBe(1)
  })

  it.each([
    ['a body of 10 MB', { kind: 'bytes', bytes: 'oversized', on: 'description' }],
    ['a body without an end', { kind: 'http', what: 'endless' }],
    ['headers that drip', { kind: 'http', what: 'slow-headers' }]
  ] as const)('%s is not read to its end, and does not delay the stop', { timeout: 15_000 }, async (_, fault) => {
    const { traversal } = await onLoopback({ kind: 'refuse', on: ['pcp', 'nat-pmp'] }, fault)
    const before = await udpSockets()
    expect((await firstReport(traversal)).verdict).toBe('private')
    await traversal.stop()
    expect(await udpSockets()).toBe(before)
  })

  it('100 starts and stops leave nothing open', { timeout: 30_000 }, async () => {
    const { traversal, rules } = await onLoopback()
    const warnings: Error[] = []
    const heed = (warning: Error): void => void warnings.push(warning)
    process.on('warning', heed)
    await firstReport(traversal)
    await traversal.stop()
    const before = process.getActiveResourcesInfo().length
    for (let round = 0; round < 100; round++) {
      await firstReport(traversal)
      await traversal.stop()
    }
    process.off('warning', heed)
    expect(rules()).toBe(0)
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before + 2)
    expect(warnings).toEqual([])
  })
})

describe.each(strategyNames)('%s in memory', (name) => {
  it('1,000 starts and stops leave no socket, timer or mapping', async () => {
    const { clock, gateway, traversal, openSockets, stop } = openScene(name)
    traversal.addEndpoint(endpoint(8080))
    for (let round = 0; round < 1000; round++) {
      await traversal.start()
      // Stop at the start of a search, in the middle of a mapping, or with a mapping.
      await clock.advance(round % 7)
      await stop()
    }
    await clock.advance(10_000)
    expect(gateway.mappings).toEqual([])
    expect(openSockets()).toBe(0)
    expect(clock.pending).toBe(0)
  })
})
