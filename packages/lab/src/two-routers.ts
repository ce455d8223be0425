import { all, besides, home, homeRouter, host, internet, neighbour, router, twoProviders } from './plans.js'
import type { DaemonPlan, HostPlan } from './topology.js'
import type { NamedTopology } from './topology-names.js'

const secondProvider = besides(
  router(['lan2', '192.168.2.1/24'], ['wan', '12.0.0.2/24', '12.0.0.1'], { mapping: all }),
  '11.0.0.0/8'
)

const willing: DaemonPlan = { ...all, mapsBehindNat: true }

/** Returns the own router of a home, in the LAN of another router. */
const innerRouter = (mapping: DaemonPlan): HostPlan =>
  router(['lan', '192.168.1.1/24'], ['middle', '192.168.0.2/24', '192.168.0.1'], { mapping })

const outerRouter = router(['middle', '192.168.0.1/24'], ['wan', '11.0.0.2/24', '11.0.0.1'], { mapping: all })

/** Topologies with two or three routers. */
export const twoRouters: readonly NamedTopology[] = [
  {
    name: 'double-nat-mapped',
    description: 'A router in the LAN of another one, both with mapping services; the inner one maps behind a NAT.',
    hosts: { home, neighbour, router: innerRouter(willing), outer: outerRouter, internet }
  },
  {
    name: 'double-nat-refused',
    description: 'As double-nat-mapped, but the inner router maps nothing while its WAN address is private.',
    hosts: { home, neighbour, router: innerRouter(all), outer: outerRouter, internet }
  },
  {
    name: 'triple-nat',
    description: 'Three routers in a row, all with mapping services; the inner two map behind a NAT.',
    hosts: {
      home,
      neighbour,
      router: innerRouter(willing),
      middle: router(['middle', '192.168.0.1/24'], ['access', '10.0.0.2/24', '10.0.0.1'], { mapping: willing }),
      outer: router(['access', '10.0.0.1/24'], ['wan', '11.0.0.2/24', '11.0.0.1'], { mapping: all }),
      internet
    }
  },
  {
    name: 'two-gateways',
    description: 'Two routers with mapping services on one LAN; the default route leads through the first.',
    hosts: {
      home: {
        links: [{ name: 'eth0', network: 'lan', addresses: ['192.168.1.2/24'] }],
        routes: [
          { to: 'default', via: '192.168.1.1', link: 'eth0' },
          { to: 'default', via: '192.168.1.254', link: 'eth0', metric: 200 }
        ]
      },
      neighbour,
      router: homeRouter({ mapping: all }),
      'second-router': router(['lan', '192.168.1.254/24'], ['wan', '11.0.0.3/24', '11.0.0.1'], { mapping: all }),
      internet
    }
  },
  {
    name: 'two-default-routes',
    description: 'A host with two interfaces on two LANs, each with a router with mapping services.',
    hosts: {
      home: {
        links: [
          { name: 'eth0', network: 'lan', addresses: ['192.168.1.2/24'] },
          { name: 'wlan0', network: 'lan2', addresses: ['192.168.2.2/24'] }
        ],
        routes: [
          { to: 'default', via: '192.168.1.1', link: 'eth0', metric: 100 },
          { to: 'default', via: '192.168.2.1', link: 'wlan0', metric: 600 }
        ]
      },
      router: homeRouter({ mapping: all }),
      'second-router': router(['lan2', '192.168.2.1/24'], ['wan', '11.0.0.3/24', '11.0.0.1'], { mapping: all }),
      internet
    }
  },
  {
    name: 'two-uplinks',
    description: 'A laptop on one of two LANs at a time, each with a provider and a router with mapping services.',
    hosts: {
      home: {
        links: [
          { name: 'wlan0', network: 'lan', addresses: ['192.168.1.2/24'] },
          { name: 'eth0', network: 'lan2', addresses: ['192.168.2.2/24'], down: true }
        ],
        routes: [
          { to: 'default', via: '192.168.1.1', link: 'wlan0' },
          { to: 'default', via: '192.168.2.1', link: 'eth0' }
        ]
      },
      router: besides(homeRouter({ mapping: all }), '12.0.0.0/8'),
      'second-router': secondProvider,
      internet: twoProviders
    }
  },
  {
    name: 'two-homes',
    description: 'Two homes of two access providers, each behind a router with mapping services.',
    hosts: {
      home,
      router: besides(homeRouter({ mapping: all }), '12.0.0.0/8'),
      home2: host('lan2', '192.168.2.2/24', '192.168.2.1'),
      router2: secondProvider,
      internet: twoProviders
    }
  }
]
