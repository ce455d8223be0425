import { describe, expect, it } from 'vitest'
import { cases } from './faults.js'
import { endpoint, openScene, type Scene, strategyNames } from './scene.js'

const minute = 60_000
const held = 8080
const wanted = 9090

/** Returns every request to the gateway. */
const asked = ({ gateway }: Scene): number =>
  Object.values(gateway.counters).reduce((sum, { requests }) => sum + requests, 0)

describe.each(strategyNames)('%s behind a gateway that for three hours', (name) => {
  it.each(cases.filter(({ on }) => on.includes(name)))('$title', async ({ fault, keeps }) => {
    const scene = openScene(name)
    const { clock, gateway, traversal, told, strangeCodes, hasRule } = scene
    traversal.addEndpoint(endpoint(held))
    await traversal.start()
    await clock.advance(5000)
    expect(told('mapped', held)).toBe(1)
    const before = asked(scene)
    gateway.inject(fault)
    traversal.addEndpoint(endpoint(wanted))

    // No mapping is given up before its time: the lease was for 2 h.
    await clock.advance(118 * minute)
    if (keeps) expect(told('lost', held)).toBe(0)
    await clock.advance(62 * minute)
    expect(strangeCodes()).toEqual([])
    expect(told('released', held)).toBe(0)
    // It is asked repeatedly, but not flooded: less than one request in four seconds for two endpoints.
    expect(asked(scene) - before).toBeLessThan(2700)

    // No retry waits for longer than 5 min, unless the router asked for 30.
    gateway.clearFaults()
    await clock.advance(36 * minute)
    expect(hasRule(wanted)).toBe(true)
    expect(hasRule(held)).toBe(true)

    await scene.stop()
    expect(gateway.mappings).toEqual([])
    expect(gateway.violations).toEqual([])
    expect(scene.openSockets()).toBe(0)
    expect(clock.pending).toBe(0)
  })
})
