import { mappedBy, notMapped, type Personality } from './personality.js'

const upnpOnly = { protocols: ['upnp'], upnp: { version: 1 } } as const

/** Routers that change, forget or refuse the requested lifetime of a mapping. */
export const leases: readonly Personality[] = [
  {
    name: 'permanent-only',
    oddity: 'RouterOS refuses every mapping that ends, with 725.',
    source: 'https://github.com/nicotine-plus/nicotine-plus/issues/2200',
    gateway: upnpOnly,
    faults: [{ kind: 'only-permanent' }],
    expected: mappedBy('upnp', 'A mapping without an end is requested, and deleted on release.')
  },
  {
    name: 'permanent-only-invalid-args',
    oddity: 'It refuses every mapping that ends, with 402.',
    source: 'https://github.com/nicotine-plus/nicotine-plus/issues/597',
    gateway: upnpOnly,
    faults: [{ kind: 'only-permanent', code: 402 }],
    expected: mappedBy('upnp', 'After a refusal without a reason, a mapping without an end is requested.')
  },
  {
    name: 'permanent-only-negative-code',
    oddity: 'It refuses every mapping that ends, with the non-standard code -911.',
    source: 'https://github.com/qbittorrent/qBittorrent/issues/12610',
    gateway: upnpOnly,
    faults: [{ kind: 'only-permanent', code: -911 }],
    expected: mappedBy('upnp', 'After a refusal without a reason, a mapping without an end is requested.')
  },
  {
    name: 'a-week-at-most',
    oddity: 'It refuses mappings without an end (402), and the requested port (501).',
    source: 'https://github.com/n0-computer/net-tools/issues/52',
    gateway: upnpOnly,
    faults: [{ kind: 'no-permanent' }, { kind: 'allowed-ports', first: 10_000, last: 65_535, code: 501 }],
    expected: mappedBy('upnp', 'A mapping without an end is tried once, and then other ports with a lease.')
  },
  {
    name: 'always-a-day',
    oddity: 'A Technicolor always grants a day, and shows it.',
    source: 'https://github.com/miniupnp/miniupnp/issues/398',
    gateway: upnpOnly,
    faults: [{ kind: 'grant', lifetimeSeconds: 86_400, on: 'control' }],
    expected: mappedBy('upnp', 'The shorter of the requested and the shown lease is used.')
  },
  {
    name: 'shows-lease-zero',
    oddity: 'It shows each lease as 0, although the lease ends in time.',
    source: 'https://github.com/miniupnp/miniupnp/issues/466',
    faults: [{ kind: 'shown-lease', seconds: 0 }],
    gateway: { protocols: ['upnp'] },
    expected: mappedBy('upnp', 'The requested lease is used, and renewed.')
  },
  {
    name: 'drops-leases',
    oddity: 'It grants mappings that end, but does not create them.',
    source: 'https://github.com/arvidn/libtorrent/pull/4406',
    gateway: upnpOnly,
    faults: [{ kind: 'drops-leases' }],
    expected: mappedBy('upnp', 'The list does not show the mapping, so one without an end is requested.')
  },
  {
    name: 'leases-last-seconds',
    oddity: 'DD-WRT lets a mapping that ends lapse after some seconds, and shows it; one without an end stays.',
    source: 'https://github.com/kube-vip/kube-vip/issues/1349',
    gateway: upnpOnly,
    faults: [{ kind: 'forgetful', afterMs: 10_000, leasesOnly: true, on: 'control' }],
    expected: mappedBy('upnp', 'A lease below a minute leads to a mapping without an end.')
  },
  {
    name: 'leases-last-seconds-unseen',
    oddity: 'DD-WRT lets a mapping that ends lapse after some seconds, but shows the requested lease.',
    source: 'https://github.com/kube-vip/kube-vip/issues/1349',
    gateway: upnpOnly,
    faults: [
      { kind: 'forgetful', afterMs: 60_000, leasesOnly: true, on: 'control' },
      { kind: 'shown-lease', seconds: 7200 }
    ],
    expected: {
      ...mappedBy('upnp', 'A mapping that is missing at two checks in a row is requested without an end.'),
      minReachedPercent: 80
    }
  },
  {
    name: 'unlisted-and-permanent-only',
    oddity: 'A NETGEAR X6S accepts only mappings without an end, and cannot list them.',
    source: 'https://github.com/firewalla/firewalla/issues/556',
    gateway: upnpOnly,
    faults: [{ kind: 'only-permanent' }, { kind: 'soap-fault', code: 501, action: 'GetSpecificPortMappingEntry' }],
    expected: mappedBy('upnp', 'A mapping that cannot be checked is assumed to exist.')
  },
  {
    name: 'unextended',
    oddity: 'Tomato accepts a renewal, but does not extend the lease.',
    source: 'https://github.com/miniupnp/miniupnp/issues/131',
    gateway: upnpOnly,
    faults: [{ kind: 'unextended' }],
    expected: mappedBy('upnp', 'The mapping is deleted and created again before it ends.')
  },
  {
    name: 'forgets-after-half-an-hour',
    oddity: 'It occasionally loses its mappings silently.',
    source: 'https://github.com/arvidn/libtorrent/issues/2922',
    gateway: upnpOnly,
    faults: [{ kind: 'forgetful', afterMs: 1_800_000, on: 'control', times: 2 }],
    expected: mappedBy('upnp', 'A check of the list every 15 minutes finds the loss.')
  },
  {
    name: 'one-minute-leases',
    oddity: 'The gateway of Proton VPN always grants 60 s.',
    source: 'https://github.com/passteque/gluetun/issues/1882',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'grant', lifetimeSeconds: 60, on: 'nat-pmp' }],
    expected: mappedBy('nat-pmp', 'It is renewed according to the granted lease.')
  },
  {
    name: 'two-minute-leases',
    oddity: 'It always grants 120 s through PCP.',
    source: 'https://www.rfc-editor.org/rfc/rfc6887#section-15',
    gateway: { protocols: ['pcp'], maxLifetimeSeconds: 120 },
    expected: mappedBy('pcp', 'It is renewed according to the granted lease.')
  },
  {
    name: 'zero-lifetime',
    oddity: 'It grants a mapping through PCP with a lifetime of 0 s.',
    source: 'https://www.rfc-editor.org/rfc/rfc6887#section-15',
    gateway: { protocols: ['pcp'] },
    faults: [{ kind: 'grant', lifetimeSeconds: 0, on: 'pcp' }],
    expected: notMapped('gateway-refused', 'A grant of 0 s is not treated as a mapping.')
  }
]
