import { describe, expect, it } from 'vitest'
import { openWorld, skipped, support } from './support/world.js'

const isVerdict =
  (wanted: string) =>
  ({ event, verdict }: { readonly event?: string; readonly verdict?: unknown }): boolean =>
    event === 'verdict' && verdict === wanted

describe.skipIf(!support.ok)(`dishonest AutoNAT servers${skipped}`, { timeout: 60_000 }, () => {
  it('one witness that reports a working address as unreachable is outvoted', async () => {
    await using world = await openWorld('home', { alpha: { autonatServer: false, lies: 'unreachable' } })
    await using home = await world.startHome()
    await home.until(isVerdict('public'))
    expect(home.said.some(({ event }) => event === 'refuted')).toBe(false)
  })

  it('one witness that reports an unreachable address as reachable is outvoted', async () => {
    await using world = await openWorld('home', { alpha: { autonatServer: false, lies: 'reachable' } })
    await world.lab.blockInbound()
    await using home = await world.startHome()
    await home.until(({ event }) => event === 'refuted')
    expect(home.said.some(({ event }) => event === 'verified')).toBe(false)
    await home.until(isVerdict('relayed'))
    expect(await home.report()).toMatchObject({ verdict: 'relayed', cause: 'mapping-not-honoured' })
  })

  it('three dishonest witnesses cannot verify an unreachable address', async () => {
    const lies = { autonatServer: false, lies: 'reachable' } as const
    await using world = await openWorld('home', { alpha: lies, bravo: lies, charlie: lies })
    await world.lab.blockInbound()
    await using home = await world.startHome()
    await home.until(isVerdict('relayed'))
    await home.until(
      ({ event, candidates }) => event === 'verdict' && JSON.stringify(candidates).includes('inconclusive')
    )
    const { candidates } = await home.report()
    expect(candidates.find(({ type }) => type === 'mapped')).toMatchObject({ state: 'consistent' })
    expect((await home.addresses()).some((address) => address.includes('11.0.0.2'))).toBe(false)
  })

  it('a silent witness does not delay the honest ones', async () => {
    await using world = await openWorld('home', { bravo: { autonatServer: false, lies: 'silent' } })
    await using home = await world.startHome()
    await home.until(({ event }) => event === 'verified')
  })
})

it.skipIf(!support.ok)(`witnesses of one network count as one witness${skipped}`, { timeout: 60_000 }, async () => {
  await using world = await openWorld('home')
  // One honest witness is not enough, however often it is asked.
  await using home = await world.startHome({ connect: world.peerAddresses.slice(0, 1) })
  await home.until(({ event, verdict, cause }) => event === 'verdict' && verdict === 'public' && cause === 'unverified')
  expect(home.said.some(({ event }) => event === 'verified')).toBe(false)
  expect((await home.addresses()).some((address) => address.includes('11.0.0.2'))).toBe(false)
})
