import { behindOne, host, internet, router } from './plans.js'
import type { NamedTopology } from './topology-names.js'

const port = 4001

/** Topologies without a mapping service in which the outside can reach the host. */
export const reachable: readonly NamedTopology[] = [
  {
    name: 'cloud',
    description: 'A machine of a cloud: 1:1 NAT, no mapping service, a firewall that lets in port 4001 (TCP and UDP).',
    hosts: {
      home: host('lan', '10.0.0.2/24', '10.0.0.1'),
      // Gateways of clouds drop requests that they do not know.
      router: router(['lan', '10.0.0.1/24'], ['wan', '11.0.0.2/24', '11.0.0.1'], {
        mapping: 'silent',
        exposedHost: { address: '10.0.0.2', ports: [port] }
      }),
      internet
    }
  },
  behindOne('dmz', 'As no-daemon, and the router forwards everything from outside to the host.', {
    exposedHost: { address: '192.168.1.2' }
  }),
  behindOne('forwarded', 'As no-daemon, and port 4001 (TCP and UDP) is forwarded to the host by hand.', {
    portForwards: [{ externalPort: port, address: '192.168.1.2' }]
  }),
  behindOne('full-cone', 'As no-daemon, and any remote endpoint can send datagrams through a UDP mapping.', {
    filtering: 'endpoint-independent'
  })
]
