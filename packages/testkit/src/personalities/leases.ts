import { mappedBy, notMapped, type Personality } from './personality.js'

const upnpOnly = { protocols: ['upnp'], upnp: { version: 1 } } as const

/** Routers that change, forget or refuse the time that a mapping is asked for. */
export const leases: readonly Personality[] = [
  {
    name: 'permanent-only',
    oddity: 'RouterOS refuses every mapping that ends, with 725.',
    source: 'https://github.com/nicotine-plus/nicotine-plus/issues/2200',
    gateway: upnpOnly,
    faults: [{ kind: 'only-permanent' }],
    expected: mappedBy('upnp', 'A mapping without an end is asked for, and deleted at the end.')
  },
  {
    name: 'permanent-only-invalid-args',
    oddity: 'It refuses every mapping that ends, with 402.',
    source: 'https://github.com/nicotine-plus/nicotine-plus/issues/597',
    gateway: upnpOnly,
    faults: [{ kind: 'only-permanent', code: 402 }],
    expected: mappedBy('upnp', 'A refusal without a reason leads to a mapping without an end.')
  },
  {
    name: 'permanent-only-negative-code',
    oddity: 'It refuses every mapping that ends, with the code -911 that no standard has.',
    source: 'https://github.com/qbittorrent/qBittorrent/issues/12610',
    gateway: upnpOnly,
    faults: [{ kind: 'only-permanent', code: -911 }],
    expected: mappedBy('upnp', 'A refusal without a reason leads to a mapping without an end.')
  },
  {
    name: 'a-week-at-most',
    oddity: 'It refuses mappings without an end, with 402, and the port that is asked for, with 501.',
    source: 'https://github.com/n0-computer/net-tools/issues/52',
    gateway: upnpOnly,
    faults: [{ kind: 'no-permanent' }, { kind: 'allowed-ports', first: 10_000, last: 65_535, code: 501 }],
    expected: mappedBy('upnp', 'A mapping without an end is asked for once, and then other ports by a lease.')
  },
  {
    name: 'always-a-day',
    oddity: 'A Technicolor grants a day whatever was asked for, and shows it.',
    source: 'https://github.com/miniupnp/miniupnp/issues/398',
    gateway: upnpOnly,
    faults: [{ kind: 'grant', lifetimeSeconds: 86_400, on: 'control' }],
    expected: mappedBy('upnp', 'The shorter of the lease that was asked for and the one shown counts.')
  },
  {
    name: 'shows-lease-zero',
    oddity: 'It shows each lease as 0, and lets it end in time all the same.',
    source: 'https://github.com/miniupnp/miniupnp/issues/466',
    faults: [{ kind: 'shown-lease', seconds: 0 }],
    gateway: { protocols: ['upnp'] },
    expected: mappedBy('upnp', 'The lease that was asked for counts, and is renewed.')
  },
  {
    name: 'drops-leases',
    oddity: 'It says yes to a mapping that ends, and makes none.',
    source: 'https://github.com/arvidn/libtorrent/pull/4406',
    gateway: upnpOnly,
    faults: [{ kind: 'drops-leases' }],
    expected: mappedBy('upnp', 'The list does not show the mapping, so one without an end is asked for.')
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
    oddity: 'DD-WRT lets a mapping that ends lapse after some seconds, and shows the lease that was asked for.',
    source: 'https://github.com/kube-vip/kube-vip/issues/1349',
    gateway: upnpOnly,
    faults: [
      { kind: 'forgetful', afterMs: 60_000, leasesOnly: true, on: 'control' },
      { kind: 'shown-lease', seconds: 7200 }
    ],
    expected: {
      ...mappedBy('upnp', 'A mapping that is gone at two looks in a row is asked for without an end.'),
      minReachedPercent: 80
    }
  },
  {
    name: 'unlisted-and-permanent-only',
    oddity: 'A NETGEAR X6S maps, cannot be asked what it maps, and takes mappings without an end only.',
    source: 'https://github.com/firewalla/firewalla/issues/556',
    gateway: upnpOnly,
    faults: [{ kind: 'only-permanent' }, { kind: 'soap-fault', code: 501, action: 'GetSpecificPortMappingEntry' }],
    expected: mappedBy('upnp', 'What cannot be checked is believed.')
  },
  {
    name: 'unextended',
    oddity: 'Tomato says yes to a renewal and lets the lease end as if there had been none.',
    source: 'https://github.com/miniupnp/miniupnp/issues/131',
    gateway: upnpOnly,
    faults: [{ kind: 'unextended' }],
    expected: mappedBy('upnp', 'The mapping is deleted and made again before it ends.')
  },
  {
    name: 'forgets-after-half-an-hour',
    oddity: 'It loses its mappings from time to time, without any sign of it.',
    source: 'https://github.com/arvidn/libtorrent/issues/2922',
    gateway: upnpOnly,
    faults: [{ kind: 'forgetful', afterMs: 1_800_000, on: 'control', times: 2 }],
    expected: mappedBy('upnp', 'A look at the list every 15 minutes shows it.')
  },
  {
    name: 'one-minute-leases',
    oddity: 'The gateway of Proton VPN grants 60 s, whatever was asked for.',
    source: 'https://github.com/passteque/gluetun/issues/1882',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'grant', lifetimeSeconds: 60, on: 'nat-pmp' }],
    expected: mappedBy('nat-pmp', 'It is renewed by the lease that was granted.')
  },
  {
    name: 'two-minute-leases',
    oddity: 'It grants 120 s through PCP, whatever was asked for.',
    source: 'https://www.rfc-editor.org/rfc/rfc6887#section-15',
    gateway: { protocols: ['pcp'], maxLifetimeSeconds: 120 },
    expected: mappedBy('pcp', 'It is renewed by the lease that was granted.')
  },
  {
    name: 'zero-lifetime',
    oddity: 'It grants a mapping through PCP with a lifetime of 0 s.',
    source: 'https://www.rfc-editor.org/rfc/rfc6887#section-15',
    gateway: { protocols: ['pcp'] },
    faults: [{ kind: 'grant', lifetimeSeconds: 0, on: 'pcp' }],
    expected: notMapped('gateway-refused', 'A mapping that has ended is none.')
  }
]
