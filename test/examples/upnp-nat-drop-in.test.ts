import { canRunLab, openLab } from '@postern/lab'
import { expect, it } from 'vitest'
import { startExample } from './program.js'

const support = await canRunLab()
const skipped = support.ok ? '' : ` (${support.reason})`

it.skipIf(!support.ok)(
  `examples/upnp-nat-drop-in maps a port at a router with PCP and without UPnP${skipped}`,
  {
    timeout: 60_000
  },
  async () => {
    await using lab = await openLab('home-pcp')
    await using node = startExample(lab, 'home', 'upnp-nat-drop-in/index.js')
    await node.until(/^\/ip4\/11\.0\.0\.2\/tcp\/4001\/p2p\//)
    expect(await lab.rules()).toMatchObject([
      { protocol: 'tcp', externalPort: 4001, internalAddress: '192.168.1.2', internalPort: 4001 }
    ])
    expect(await node.end()).toBe(0)
    expect(await lab.rules()).toEqual([])
  }
)
