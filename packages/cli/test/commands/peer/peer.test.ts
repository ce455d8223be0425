import { betweenTiers, withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { command, enter, folder, type Running, support, why } from '../../support/in-lab.js'
import { pasted, startRelay } from '../../support/relays.js'

async function circuitOf(running: Running): Promise<string> {
  for (;;) {
    const { addresses } = await running.next('addresses')
    const found = addresses?.find((each) => each.includes('/p2p-circuit'))
    if (found !== undefined) return found
  }
}

async function directAddress(running: Running): Promise<string | null | undefined> {
  for (;;) {
    const told = await running.next('upgrade')
    if (told.state === 'direct') return told.address
    if (told.state === 'failed') throw new Error(JSON.stringify(told))
  }
}

describe.skipIf(!support.ok)(`postern peer${why}`, { timeout: 60_000 }, () => {
  it('node connects two homes without mappings directly, and reports no failure', async () => {
    const lab = await enter(withPeers(betweenTiers('home', 'home')))
    const relays = (await Promise.all([startRelay(lab, 'alpha'), startRelay(lab, 'bravo')])).map(pasted)
    const named = ['--via', 'none', '--json', ...relays.flatMap((relay) => ['--relay', relay])]
    const there = command(lab, ['peer', ...named], await folder(), 'home')
    const circuit = await circuitOf(there)
    const here = command(lab, ['peer', ...named, '--dial', circuit], await folder(), 'home2')
    expect(await directAddress(here)).toMatch(/^\/ip4\/11\.0\.0\.2\/tcp\//)
    expect([...there.told, ...here.told].filter(({ event }) => event === 'failed')).toEqual([])
  })
})
