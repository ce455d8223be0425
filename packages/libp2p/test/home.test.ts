import { openLab } from '@postern/lab'
import { expect, it } from 'vitest'
import { startNode } from './support/nodes.js'
import { withPeers } from './support/world.js'

it('try', { timeout: 60000 }, async () => {
  await using lab = await openLab(withPeers('home'))
  const peers = await Promise.all(
    (['alpha', 'bravo', 'charlie'] as const).map((host, index) =>
      startNode(lab, host, { seed: index + 1, listen: [`/ip4/${lab.address(host)}/tcp/4001`], announce: [`/ip4/${lab.address(host)}/tcp/4001`], relayServer: {}, autonatServer: true })
    )
  )
  const addresses = peers.map((peer, i) => `/ip4/${lab.address(['alpha','bravo','charlie'][i]!)}/tcp/4001/p2p/${peer.peerId}`)
  await using home = await startNode(lab, 'home', { listen: ['/ip4/0.0.0.0/tcp/4001'], connect: addresses, nat: {} })
  await home.until(({ event, verdict }) => event === 'verdict' && verdict === 'public').catch(e => console.log(e.message))
  for (const line of home.said) console.log(JSON.stringify(line).slice(0, 400))
  console.log(JSON.stringify(await home.report(), null, 1))
  await using outsider = await startNode(lab, 'outsider', {})
  console.log(await outsider.dial((await home.addresses()).find(a => a.includes('11.0.0.2'))!))
  console.log(await home.stop(), await lab.rules())
})
