import { describe, expect, it } from 'vitest'
import { cases } from './faults.js'
import { endpoint, openScene, strategyNames } from './scene.js'

const held = 8080
const wanted = 9090
const minute = 60_000

describe.each(strategyNames)('%s with a mapping, and a gateway that', (name) => {
  it.each(cases.filter(({ on }) => on.includes(name)))('$title', async ({ fault, keeps }) => {
    const scene = openScene(name)
    const { clock, gateway, traversal, told, strangeCodes, hasRule } = scene
    traversal.addEndpoint(endpoint(held))
    await traversal.start()
    await clock.advance(5000)
    expect(told('mapped', held)).toBe(1)

    // During the fault a second mapping is wanted, the first one is polled, and the router announces itself.
    gateway.inject(fault)
    traversal.addEndpoint(endpoint(wanted))
    traversal.recheck()
    await clock.advance(20_000)
    gateway.announce()
    await clock.advance(40_000)
    expect(strangeCodes()).toEqual([])
    expect(told('released', held)).toBe(0)
    if (keeps) {
      expect(told('lost', held) + told('changed', held)).toBe(0)
      expect(traversal.report().externalAddresses).toContain(`/ip4/11.0.0.2/tcp/${held}`)
    }

    // The fault ends: every wanted endpoint is mapped again by its next renewal, whatever retry-after the router sent.
    gateway.clearFaults()
    await clock.advance(100 * minute)
    expect(hasRule(wanted)).toBe(true)
    expect(hasRule(held)).toBe(true)

    await scene.stop()
    expect(gateway.mappings).toEqual([])
    expect(gateway.violations).toEqual([])
    expect(scene.openSockets()).toBe(0)
    expect(clock.pending).toBe(0)
  })
})
