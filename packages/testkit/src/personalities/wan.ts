import { mappedBy, notMapped, type Personality, type PersonalityOutcome } from './personality.js'

const upnpOnly = { protocols: ['upnp'], upnp: { version: 1 } } as const

/** Returns the outcome of a mapping without effect, because another router is in front. */
const behind = (protocol: 'pcp' | 'nat-pmp' | 'upnp', cause: string, does: string): PersonalityOutcome => ({
  mappedBy: protocol,
  reached: false,
  released: true,
  cause,
  does
})

/** Routers without a global external address, or with several. */
export const wan: readonly Personality[] = [
  {
    name: 'unused-ppp-connection',
    oddity: 'A FRITZ!Box lists WANPPPConnection first, which is not in use.',
    source: 'https://github.com/kbr/fritzconnection/issues/65',
    gateway: {
      protocols: ['upnp'],
      upnp: { version: 1, wan: [{ type: 'WANPPPConnection', status: 'Disconnected' }, { type: 'WANIPConnection' }] }
    },
    expected: mappedBy('upnp', 'The active connection is used.')
  },
  {
    name: 'unused-ip-connection',
    oddity: 'A NETGEAR lists WANIPConnection and WANPPPConnection, and the second one is in use.',
    source: 'https://github.com/home-assistant/core/issues/56019',
    gateway: {
      protocols: ['upnp'],
      upnp: { version: 1, wan: [{ type: 'WANIPConnection', status: 'Disconnected' }, { type: 'WANPPPConnection' }] }
    },
    expected: mappedBy('upnp', 'The active connection is used.')
  },
  {
    name: 'address-of-zeros',
    oddity: 'A Netopia reports the external address 0.0.0.0.',
    source: 'https://github.com/bitletorg/weupnp/issues/4',
    gateway: upnpOnly,
    faults: [{ kind: 'grant', externalAddress: '0.0.0.0', on: 'control' }],
    expected: notMapped('reserved-external-address', 'Without an external address, no mapping is reported.')
  },
  {
    name: 'empty-address',
    oddity: 'It reports an empty external address while its uplink is down, as IGD:2 requires.',
    source: 'https://github.com/miniupnp/miniupnp/pull/537',
    gateway: { protocols: ['upnp'] },
    faults: [{ kind: 'grant', externalAddress: '', on: 'control' }],
    expected: notMapped('reserved-external-address', 'Without an external address, no mapping is reported.')
  },
  {
    name: 'behind-another-router',
    oddity: 'A RouterOS behind the modem of the provider maps to a private address.',
    source: 'https://github.com/tailscale/tailscale/issues/13745',
    gateway: { externalAddress: '192.168.100.2' },
    expected: behind(
      'pcp',
      'double-nat',
      'The mapping is created, and the report says that another router is in front.'
    )
  },
  {
    name: 'behind-another-router-upnp',
    oddity: 'An access point in front of the router maps to a private address through UPnP.',
    source: 'https://github.com/syncthing/syncthing/issues/9324',
    gateway: { ...upnpOnly, externalAddress: '192.168.201.90' },
    expected: behind(
      'upnp',
      'double-nat',
      'The mapping is created, and the report says that another router is in front.'
    )
  },
  {
    name: 'carrier-nat',
    oddity: "A TP-Link in a carrier's NAT maps to 100.96.12.181.",
    source: 'https://github.com/miniupnp/miniupnp/issues/242',
    gateway: { ...upnpOnly, externalAddress: '100.96.12.181' },
    expected: behind(
      'upnp',
      'carrier-nat',
      'The mapping is created, and the report says that the provider also translates addresses.'
    )
  },
  {
    name: 'carrier-nat-refused',
    oddity: "miniupnpd in a carrier's NAT refuses to map by any protocol.",
    source: 'https://github.com/opnsense/core/issues/8070',
    gateway: { externalAddress: '100.64.0.2' },
    faults: [{ kind: 'reserved-external-address' }],
    expected: notMapped('carrier-nat', 'The refusal of PCP contains the address, so the cause is known.')
  },
  {
    name: 'nat-pmp-private-address',
    oddity: 'Its NAT-PMP reports the private external address 192.168.100.2.',
    source: 'https://github.com/rapid7/metasploit-framework/pull/3687',
    gateway: { protocols: ['nat-pmp'], externalAddress: '192.168.100.2' },
    expected: behind(
      'nat-pmp',
      'double-nat',
      'The mapping is created, and the report says that another router is in front.'
    )
  },
  {
    name: 'no-uplink',
    oddity: 'It has no address from its provider yet, and NAT-PMP answers network failure (3).',
    source: 'https://github.com/jackpal/go-nat-pmp/issues/11',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'result', code: 3, on: 'nat-pmp' }],
    expected: notMapped('reserved-external-address', 'The request is repeated later.')
  },
  {
    name: 'nat-pmp-address-of-zeros',
    oddity: 'Its NAT-PMP maps ports, and reports the external address 0.0.0.0.',
    source: 'https://www.rfc-editor.org/rfc/rfc6886.html#section-3.2',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'grant', externalAddress: '0.0.0.0', on: 'nat-pmp' }],
    expected: notMapped('gateway-refused', 'The mapping is deleted.')
  }
]
