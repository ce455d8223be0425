import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createSocketRate } from '../../src/bounds/socket-rate.js'

const limits = { total: 40, network: 20, subnet: 10, ip: 4 }

describe('the rate of sockets', () => {
  it('createSocketRate never exceeds its limits by prefix and in total', () => {
    const rate = createSocketRate(limits, virtualClock())
    let count = 0
    for (let network = 0; network < 100; network++) {
      for (let host = 0; host < 100; host++)
        if (rate.take({ address: `13.${network}.${host}.1` }) === undefined) count++
    }
    expect(count).toBe(40)
  })

  it.each([
    ['subnets of one IPv6 network', (n: number) => `2a01:4f8:${n.toString(16)}::1`],
    ['subnets of one IPv4 network', (n: number) => `13.1.${n % 256}.1`]
  ])('createSocketRate accepts a newcomer although %s send', async (_, address) => {
    const clock = virtualClock()
    const rate = createSocketRate(limits, clock)
    for (let second = 0; second < 20; second++) {
      for (let each = 0; each < 1000; each++) rate.take({ address: address(each + second * 1000) })
      expect(rate.take({ address: second % 2 === 0 ? '2a02:100::2' : '15.0.0.1' })).toBe(undefined)
      await clock.advance(1000)
    }
  })

  it('createSocketRate accepts a newcomer although hundreds of networks connect every second for a minute', async () => {
    const clock = virtualClock()
    const rate = createSocketRate(limits, clock)
    for (let second = 0; second < 50; second++) {
      for (let network = 0; network < 250; network++) rate.take({ address: `13.${network}.0.1` })
      // All of them are known after some seconds.
      if (second >= 25) expect(rate.take({ address: `15.${second}.0.1` })).toBe(undefined)
      await clock.advance(1000)
    }
  })

  it('createSocketRate treats a subnet as a newcomer again after a minute', async () => {
    const clock = virtualClock()
    const rate = createSocketRate({ total: 4, network: 1 }, clock)
    const twice = () => [rate.take({ address: '13.0.0.1' }), rate.take({ address: '13.0.0.1' })]
    expect(twice()).toEqual([undefined, 'network'])
    await clock.advance(59_999)
    expect(twice()).toEqual([undefined, 'network'])
    await clock.advance(60_000)
    expect(rate.take({ address: '13.0.9.1' })).toBe(undefined)
    expect(rate.take({ address: '13.0.0.1' })).toBe(undefined)
  })

  it('createSocketRate with one socket a second reserves nothing for newcomers', () => {
    const rate = createSocketRate({ total: 1 }, virtualClock())
    expect([rate.take({ address: '13.0.0.1' }), rate.take({ address: '13.0.0.1' })]).toEqual([undefined, 'total'])
  })

  it('createSocketRate rejects text that is not an IP address', () => {
    expect(createSocketRate(limits, virtualClock()).take({ address: 'x' })).toBe('address')
  })
})
