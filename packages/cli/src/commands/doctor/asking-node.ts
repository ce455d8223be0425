import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import type { AutonatComponents } from '@postern/autonat'
import type { MultiaddrText, ServerHost, Strategy } from '@postern/interface'
import { createLibp2p } from 'libp2p'
import { stack } from '../../shared/libp2p-stack.js'
import { namedPeers } from './named-peers.js'
import type { OpenTrial, Trial } from './trial.js'

/**
 * Returns a trial with a plain port, about which libp2p peers are asked too. A libp2p node that listens nowhere asks
 * them. A peer cannot deliver a nonce to a plain port, so its proof is the connection that arrives from its IP address.
 *
 * Throws a TypeError for a peer without an id, or one that cannot be dialled.
 *
 * @param openPlain - returns the trial with these strategies besides its own
 */
export function trialWithPeers(
  peers: readonly MultiaddrText[],
  openPlain: (strategies: readonly Strategy<ServerHost>[]) => OpenTrial
): OpenTrial {
  const named = namedPeers(peers)

  return async (network) => {
    const node = await createLibp2p({
      ...stack(),
      start: false,
      addresses: { listen: [] },
      transports: [tcp(), webSockets()],
      services: {
        identify: identify(),
        parts: (components: AutonatComponents) => ({ components })
      }
    })
    const { components } = node.services.parts
    const asking: Strategy<ServerHost> = (host) => named.strategy({ ...host, components })
    const trial: Trial = await openPlain([asking])(network)

    return {
      ...trial,
      async start() {
        await node.start()
        named.meet(node)
        await trial.start()
      },
      witnesses: () => [...trial.witnesses(), ...named.named(node)],
      async stop() {
        named.stop()
        await trial.stop()
        await node.stop()
      }
    }
  }
}
