import { mappedBy, notMapped, type Personality, personalityNetwork } from './personality.js'

/** IPv6 firewalls that open pinholes or refuse them. */
export const ipv6: readonly Personality[] = [
  {
    name: 'pinholes-not-allowed',
    oddity: 'A FRITZ!Box refuses pinholes to a device without the permission to open ports.',
    source: 'https://github.com/kbr/fritzconnection/issues/161',
    family: 6,
    gateway: { protocols: ['upnp'], upnp: { firewall: { enabled: true, pinholesAllowed: false } } },
    expected: notMapped('no-mapping-service', 'No pinhole is requested, and the report contains the reason.')
  },
  {
    name: 'pinhole-refused',
    oddity: 'miniupnpd says 606 to a pinhole for a port below 1024.',
    source: 'https://github.com/miniupnp/miniupnp/issues/692',
    family: 6,
    port: 443,
    gateway: { protocols: ['upnp'] },
    faults: [{ kind: 'soap-fault', code: 606, action: 'AddPinhole' }],
    expected: notMapped(
      'gateway-refused',
      'A pinhole cannot use another port, so the request is repeated with growing delays.'
    )
  },
  {
    name: 'pinhole-refused-by-upnp-only',
    oddity: 'miniupnpd says 606 to a pinhole for a port below 1024 through UPnP, and opens it through PCP.',
    source: 'https://github.com/miniupnp/miniupnp/issues/692',
    family: 6,
    port: 443,
    faults: [{ kind: 'soap-fault', code: 606, action: 'AddPinhole' }],
    expected: { ...mappedBy('pcp', 'PCP is used first.'), avoided: true }
  },
  {
    name: 'pinhole-not-renewed',
    oddity: 'miniupnpd with pf opens a pinhole through PCP, and refuses to renew it (NO_RESOURCES) until it has ended.',
    source: 'https://github.com/miniupnp/miniupnp/issues/744',
    family: 6,
    gateway: { protocols: ['pcp'], maxLifetimeSeconds: 600 },
    faults: [{ kind: 'result', code: 8, opcode: 1, on: 'pcp', after: 1, times: 9 }],
    expected: mappedBy(
      'pcp',
      'The request is repeated after the error lifetime, and the pinhole is opened again when the router accepts it.'
    )
  },
  {
    name: 'late-over-ipv6',
    oddity: 'It answers searches after 2.5 s, and opens pinholes only for the requesting address.',
    source: 'https://github.com/OpenRA/OpenRA/issues/15923',
    family: 6,
    gateway: { protocols: ['upnp'], upnp: { searchDelayMs: 2500 } },
    expected: {
      ...mappedBy('upnp', 'The request goes over IPv4, and its refusal leads to a longer search over IPv6.'),
      violations: [`upnp: AddPinhole with InternalClient ${personalityNetwork.host6} from ${personalityNetwork.host}`]
    }
  }
]
