import { expect, test } from 'vitest'
import { createPersonality, letHappen, personalities, personalityGroups, virtualClock } from '../../src/index.js'

test('every personality creates a gateway with its faults', () => {
  expect(Object.values(personalityGroups).flat()).toEqual(personalities)
  for (const personality of personalities) {
    const gateway = createPersonality(personality, { clock: virtualClock(), random: () => 0.5 })
    expect(gateway.faults).toEqual(personality.faults ?? [])
    expect(gateway.violations).toEqual([])
  }
})

test('an event can restart a gateway, change its address, and announce the change', () => {
  const [plain] = personalities
  if (plain === undefined) throw new Error('there are no personalities')
  const gateway = createPersonality(plain, { clock: virtualClock() })
  letHappen(gateway, { afterMs: 0, reboot: {}, externalAddress: '11.0.0.9', announces: {} })
  expect(gateway.externalAddress).toBe('11.0.0.9')
})
