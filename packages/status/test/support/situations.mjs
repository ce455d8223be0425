// Five situations, as reports and events, for tests and screenshots. The addresses are those of the lab.

const at = '2026-11-28T10:00:00.000Z'
const later = (seconds) => new Date(Date.parse(at) + seconds * 1000).toISOString()

const gateway = { address: '192.168.1.1', interface: 'eth0', description: null }
const endpoint = { protocol: 'tcp', address: '192.168.1.2', port: 8080 }
const rung = (name, kind, rank, state, tookMs, reason = null, more = {}) => ({
  name,
  kind,
  rank,
  state,
  tookMs,
  reason,
  ...more
})
const evidence = (party, network, outcome, seconds) => ({ party, network, outcome, at: later(seconds) })
const nothing = {
  schemaVersion: 1,
  cause: null,
  advice: [],
  gateway,
  externalAddresses: [],
  nat: null,
  strategies: [],
  candidates: []
}
const ann = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
const ben = '12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq'
const cy = '12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust'

/** @param {any[]} events */
const numbered = (events) =>
  events.map(([seconds, name, detail], index) => ({ seq: index + 1, at: later(seconds), name, detail }))
const mapping = (event, more = {}) => ({
  event,
  strategy: 'pcp',
  protocol: 'tcp',
  internal: { address: '192.168.1.2', port: 8080 },
  external: { address: '11.0.0.2', port: 8080 },
  lifetimeSeconds: 7200,
  ...more
})

const verified = {
  ...nothing,
  verdict: 'public',
  externalAddresses: ['/ip4/11.0.0.2/tcp/8080'],
  strategies: [
    rung('pcp', 'mapper', 0, 'active', 18),
    rung('nat-pmp', 'mapper', 1, 'standby', 23),
    rung('upnp', 'mapper', 2, 'standby', 88),
    rung('witness', 'witness', 3, 'active', 412)
  ],
  candidates: [
    {
      address: '/ip4/11.0.0.2/tcp/8080',
      type: 'mapped',
      strategy: 'pcp',
      endpoint,
      state: 'verified',
      expiresAt: later(7200),
      evidence: [
        evidence('http://21.0.0.1:4003', '21.0.0.0/16', 'reachable', 0.4),
        evidence('http://31.0.0.1:4003', '31.0.0.0/16', 'reachable', 0.6)
      ]
    }
  ]
}

const carrier = {
  ...nothing,
  verdict: 'private',
  cause: 'carrier-nat',
  advice: [
    'Ask the provider for a public IPv4 address, use IPv6, or add a relay (ssh:<user>@<host> for a plain program): the provider shares one address among several customers.'
  ],
  strategies: [
    rung('pcp', 'mapper', 0, 'failed', 9.6, {
      code: 'GRANT_INVALID',
      message: "the router's external address is 100.64.0.2, so it does not map ports"
    }),
    rung('nat-pmp', 'mapper', 1, 'unavailable', 13, {
      code: 'NO_SERVICE',
      message: 'the router has no external address to map'
    }),
    rung('upnp', 'mapper', 2, 'unavailable', 61, {
      code: 'NO_SERVICE',
      message: 'the router is connected and tells no external address, as routers with a reserved one do'
    })
  ]
}

const noService = {
  ...nothing,
  verdict: 'private',
  cause: 'no-mapping-service',
  advice: [
    'Turn on UPnP, NAT-PMP or PCP in the router, or forward a port to 192.168.1.2 by hand in the settings of 192.168.1.1, and name it with manual.'
  ],
  strategies: ['pcp', 'nat-pmp', 'upnp'].map((name, rank) =>
    rung(name, 'mapper', rank, 'unavailable', 11, { code: 'REFUSED', message: 'the port is closed' })
  )
}

const relayed = {
  ...nothing,
  verdict: 'relayed',
  cause: 'mapping-not-honoured',
  advice: [
    'Look for a firewall in the router, or for another router behind it: it maps the port, and connections do not get through.'
  ],
  externalAddresses: [`/ip4/41.0.0.1/tcp/4001/p2p/${cy}/p2p-circuit`],
  nat: { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent', hairpin: 'unknown' },
  strategies: [
    rung('pcp', 'mapper', 0, 'unavailable', 2000, { code: 'NO_REPLY', message: 'the router does not answer' }),
    rung('nat-pmp', 'mapper', 1, 'unavailable', 2000, { code: 'NO_REPLY', message: 'the router does not answer' }),
    rung('upnp', 'mapper', 2, 'active', 140),
    rung('relay', 'relay', 3, 'active', 620),
    rung('autonat', 'witness', 4, 'active', 900),
    rung('hole-punch', 'puncher', 5, 'available', 3)
  ],
  candidates: [
    {
      address: '/ip4/11.0.0.2/tcp/4001',
      type: 'mapped',
      strategy: 'upnp',
      endpoint: { ...endpoint, port: 4001 },
      state: 'refuted',
      expiresAt: later(3600),
      evidence: [evidence(ann, '21.0.0.0/16', 'unreachable', 6), evidence(ben, '31.0.0.0/16', 'unreachable', 7)]
    },
    {
      address: `/ip4/41.0.0.1/tcp/4001/p2p/${cy}/p2p-circuit`,
      type: 'relayed',
      strategy: 'relay',
      endpoint: null,
      state: 'consistent',
      expiresAt: later(3600),
      evidence: [],
      relay: { party: cy, network: '41.0.0.0/16', maxSeconds: 120, maxBytes: 131_072 }
    }
  ],
  peers: [
    { peer: ben, state: 'failed', strategy: 'hole-punch', address: null, cause: 'symmetric-both', at: later(20) },
    {
      peer: ann,
      state: 'direct',
      strategy: 'hole-punch',
      address: '/ip4/21.0.0.1/udp/4001/quic-v1',
      cause: null,
      at: later(34)
    }
  ]
}

const twoRouters = {
  ...nothing,
  verdict: 'public',
  cause: 'unverified',
  advice: [
    'Name a witness to have the address verified from outside, or try it from a phone on mobile data: so far no host outside has.'
  ],
  externalAddresses: ['/ip4/11.0.0.2/tcp/8080'],
  strategies: [
    rung('pcp', 'mapper', 0, 'active', 16),
    rung('nat-pmp', 'mapper', 1, 'standby', 18),
    rung('upnp', 'mapper', 2, 'standby', 91),
    rung('pcp', 'mapper', 0, 'active', 105, null, { gateway: '192.168.0.1', through: '192.168.1.1' }),
    rung('nat-pmp', 'mapper', 1, 'standby', 106, null, { gateway: '192.168.0.1', through: '192.168.1.1' })
  ],
  candidates: [
    {
      address: '/ip4/192.168.0.2/tcp/8080',
      type: 'mapped',
      strategy: 'pcp',
      endpoint,
      state: 'claimed',
      expiresAt: later(7200),
      evidence: []
    },
    {
      address: '/ip4/11.0.0.2/tcp/8080',
      type: 'mapped',
      strategy: 'pcp',
      endpoint,
      state: 'consistent',
      expiresAt: later(7200),
      evidence: [],
      through: '/ip4/192.168.0.2/tcp/8080'
    }
  ]
}

const rungEvents = (report) => report.strategies.map((each) => [(each.tookMs ?? 0) / 1000, 'strategy', each])
const snapshot = (report, seconds, events) => ({
  at: later(seconds),
  title: 'My server',
  report,
  events: numbered([...rungEvents(report), ...events].toSorted(([one], [other]) => one - other))
})

/** @type {Record<'verified' | 'carrier-nat' | 'no-service' | 'relayed' | 'two-routers', import('../../src/model/state.js').Snapshot>} */
export const situations = {
  verified: snapshot(verified, 2400, [
    [0.02, 'mapped', mapping('mapped')],
    [0.7, 'verified', mapping('verified')],
    [0.7, 'verdict', { verdict: 'public', cause: null }]
  ]),
  'carrier-nat': snapshot(carrier, 20, [
    [
      0.06,
      'failed',
      mapping('failed', {
        strategy: null,
        external: null,
        lifetimeSeconds: null,
        reasons: carrier.strategies.map(({ name, reason }) => ({ strategy: name, ...reason }))
      })
    ],
    [0.3, 'verdict', { verdict: 'private', cause: 'carrier-nat' }]
  ]),
  'no-service': snapshot(noService, 20, [[0.3, 'verdict', { verdict: 'private', cause: 'no-mapping-service' }]]),
  relayed: snapshot(relayed, 60, [
    [
      0.14,
      'mapped',
      mapping('mapped', {
        strategy: 'upnp',
        lifetimeSeconds: 3600,
        internal: { address: '192.168.1.2', port: 4001 },
        external: { address: '11.0.0.2', port: 4001 }
      })
    ],
    [0.7, 'verdict', { verdict: 'relayed', cause: null }],
    [
      7,
      'refuted',
      mapping('refuted', {
        strategy: 'upnp',
        lifetimeSeconds: 3600,
        internal: { address: '192.168.1.2', port: 4001 },
        external: { address: '11.0.0.2', port: 4001 },
        reasons: []
      })
    ],
    [7, 'verdict', { verdict: 'relayed', cause: 'mapping-not-honoured' }],
    [20, 'upgrade', relayed.peers[0]],
    [34, 'upgrade', relayed.peers[1]]
  ]),
  'two-routers': snapshot(twoRouters, 3000, [
    [0.02, 'mapped', mapping('mapped', { external: { address: '192.168.0.2', port: 8080 } })],
    [0.1, 'mapped', mapping('mapped', { through: { address: '192.168.0.2', port: 8080 } })],
    [0.3, 'verdict', { verdict: 'public', cause: 'unverified' }]
  ])
}
