import { mappedBy, notMapped, type Personality } from './personality.js'

const upnpOnly = { protocols: ['upnp'], upnp: { version: 1 } } as const
const specific = 'GetSpecificPortMappingEntry'

/** Routers with missing, broken or false answers to queries. */
export const lists: readonly Personality[] = [
  {
    name: 'empty-list',
    oddity: 'It maps, and its list stays empty.',
    source: 'https://github.com/kaklakariada/portmapper/issues/139',
    gateway: upnpOnly,
    faults: [{ kind: 'unlisted' }],
    expected: notMapped('gateway-refused', 'It looks like a router that creates no mapping, so the mapping is deleted.')
  },
  {
    name: 'list-without-body',
    oddity: 'It answers queries of its mappings with 500 and no body.',
    source: 'https://github.com/kaklakariada/portmapper/issues/115',
    gateway: upnpOnly,
    faults: [{ kind: 'http', what: 'empty', status: 500, action: specific, on: 'control' }],
    expected: mappedBy('upnp', 'A mapping that cannot be checked is assumed to exist.')
  },
  {
    name: 'specific-entry-not-implemented',
    oddity: 'It answers GetSpecificPortMappingEntry with the HTTP status 501.',
    source: 'https://github.com/ofekp/TinyUPnP/pull/19',
    gateway: { protocols: ['upnp'], upnp: { version: 1, wan: [{ type: 'WANPPPConnection' }] } },
    faults: [{ kind: 'http', what: 'empty', status: 501, action: specific, on: 'control' }],
    expected: mappedBy('upnp', 'A mapping that cannot be checked is assumed to exist.')
  },
  {
    name: 'shifts-the-internal-port',
    oddity: "Orange's FunBox maps each external port to the internal port of the same number.",
    source: 'https://github.com/tailscale/tailscale/issues/14344',
    gateway: {
      ...upnpOnly,
      occupied: [{ externalPort: 8080, internalAddress: '192.168.1.55', internalPort: 8080 }]
    },
    faults: [{ kind: 'ignores-internal-port' }],
    expected: notMapped(
      'gateway-refused',
      'Only the same external port works, and another host has it; the mapping is deleted.'
    )
  },
  {
    name: 'external-address-missing',
    oddity: 'It refuses GetExternalIPAddress, but maps ports.',
    source: 'https://github.com/lontivero/Open.NAT/issues/26',
    gateway: upnpOnly,
    faults: [{ kind: 'http', what: 'status', status: 400, action: 'GetExternalIPAddress', on: 'control' }],
    expected: {
      ...mappedBy('upnp', 'The port is mapped, and the report says that its external address is unknown.'),
      reached: false,
      cause: 'unverified'
    }
  },
  {
    name: 'truncated-ports',
    oddity: 'Its NAT-PMP answers contain only the low byte of each port.',
    source: 'https://github.com/miniupnp/miniupnp/issues/196',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'wrong-field', field: 'internal-port', value: 8080 % 256, on: 'nat-pmp' }],
    expected: notMapped('gateway-refused', 'An answer for another port is ignored.')
  },
  {
    name: 'internal-port-zero',
    oddity: 'The gateway of Proton VPN reports the internal port 0 in its NAT-PMP answers.',
    source: 'https://github.com/passteque/gluetun/issues/2051',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'wrong-field', field: 'internal-port', value: 0, on: 'nat-pmp' }],
    expected: mappedBy('nat-pmp', 'The internal port 0 is treated as the requested port.')
  }
]
