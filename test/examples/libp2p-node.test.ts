import type { Report } from '@postern/core'
import { expect, it } from 'vitest'
import { openWorld, skipped, support } from '../../packages/libp2p/test/support/world.js'
import { startExample } from './program.js'

it.skipIf(!support.ok)(
  `examples/libp2p-node carries a chat between two homes, directly${skipped}`,
  {
    timeout: 60_000
  },
  async () => {
    await using world = await openWorld('two-homes')
    const start = (host: string) => startExample(world.lab, host, 'libp2p-node/index.js', world.peerAddresses)
    await using one = start('home')
    await using other = start('home2')
    await one.until(/^address: \/ip4\/11\.0\.0\.2\//)
    const announced = await other.until(/^address: \/ip4\/12\.0\.0\.2\//)
    one.tell(announced.replace('address: ', ''))
    expect(await one.until(/^(direct|relayed):/)).toMatch(/^direct: \/ip4\/12\.0\.0\.2\/tcp\/4001\//)
    await other.until(/^direct: \/ip4\/11\.0\.0\.2\//)
    one.tell('Are you there?')
    await other.until(/^< Are you there\?$/)
    other.tell('Yes, and without a relay.')
    await one.until(/^< Yes, and without a relay\.$/)
    other.tell('/report')
    const report = JSON.parse(await other.until(/^\{/)) as Report
    expect(report).toMatchObject({ verdict: 'public', cause: null })
    expect(report.candidates[0]).toMatchObject({ address: '/ip4/12.0.0.2/tcp/4001', state: 'verified' })
    if (process.env['POSTERN_SHOW'] !== undefined) console.log(JSON.stringify(report, null, 2))
    expect(await one.end()).toBe(0)
    await other.until(/^gone:/)
    expect(await world.lab.rules('router')).toEqual([])
    expect(await other.end()).toBe(0)
    expect(await world.lab.rules('router2')).toEqual([])
  }
)
