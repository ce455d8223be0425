import { systemClock } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import { probeServers, type ServerProbe } from '../../../../src/commands/doctor/neighbourhood/named-servers.js'

const never = { signal: new AbortController().signal }
const named = [{ host: 'stun.example.org', port: 3478 }]

it('a name that is not looked up is given up after 4 s', async () => {
  const clock = virtualClock()
  const told: ServerProbe[] = []
  const lookup = (): Promise<never> => new Promise(() => undefined)
  const probing = probeServers(named, { clock, lookup }, (probe) => told.push(probe), never)
  await clock.advance(4000)
  await probing
  expect(told).toEqual([])
})

it('a name without an address, and addresses of this machine and its network, are not asked', async () => {
  const told: ServerProbe[] = []
  const options = (addresses: readonly string[]): Parameters<typeof probeServers>[1] => ({
    clock: systemClock,
    lookup: async () => addresses
  })
  for (const addresses of [[], ['127.0.0.1', '::1'], ['192.168.1.1', 'fe80::1'], ['192.0.0.170', 'fd00::1']])
    await probeServers(named, options(addresses), (probe) => told.push(probe), never)
  const failing = { clock: systemClock, lookup: () => Promise.reject(new Error('ENOTFOUND')) }
  await probeServers(named, failing, (probe) => told.push(probe), never)
  expect(told).toEqual([])
})

it('rejects with the reason of the signal', async () => {
  const controller = new AbortController()
  const lookup = (): Promise<never> => new Promise(() => undefined)
  const probing = probeServers(named, { clock: systemClock, lookup }, () => undefined, controller)
  controller.abort(new Error('interrupted'))
  await expect(probing).rejects.toThrow('interrupted')
})
