import { mappedBy, notMapped, type Personality, personalityNetwork } from './personality.js'

/** Firewalls for IPv6 that open pinholes, or do not. */
export const ipv6: readonly Personality[] = [
  {
    name: 'pinholes-not-allowed',
    oddity: 'A FRITZ!Box allows no pinholes to a device that may not share ports by itself.',
    source: 'https://github.com/kbr/fritzconnection/issues/161',
    family: 6,
    gateway: { protocols: ['upnp'], upnp: { firewall: { enabled: true, pinholesAllowed: false } } },
    expected: notMapped('no-mapping-service', 'No pinhole is asked for, and the report says why.')
  },
  {
    name: 'pinhole-refused',
    oddity: 'miniupnpd says 606 to a pinhole for a port below 1024.',
    source: 'https://github.com/miniupnp/miniupnp/issues/692',
    family: 6,
    port: 443,
    gateway: { protocols: ['upnp'] },
    faults: [{ kind: 'soap-fault', code: 606, action: 'AddPinhole' }],
    expected: notMapped('gateway-refused', 'A pinhole has no other port, so it is asked again ever more rarely.')
  },
  {
    name: 'pinhole-refused-by-upnp-only',
    oddity: 'miniupnpd says 606 to a pinhole for a port below 1024 through UPnP, and opens it through PCP.',
    source: 'https://github.com/miniupnp/miniupnp/issues/692',
    family: 6,
    port: 443,
    faults: [{ kind: 'soap-fault', code: 606, action: 'AddPinhole' }],
    expected: { ...mappedBy('pcp', 'PCP is asked first.'), avoided: true }
  },
  {
    name: 'pinhole-not-renewed',
    oddity: 'miniupnpd with pf opens a pinhole through PCP, and refuses to renew it (NO_RESOURCES) until it has ended.',
    source: 'https://github.com/miniupnp/miniupnp/issues/744',
    family: 6,
    gateway: { protocols: ['pcp'], maxLifetimeSeconds: 600 },
    faults: [{ kind: 'result', code: 8, opcode: 1, on: 'pcp', after: 1, times: 9 }],
    expected: mappedBy('pcp', 'It is asked again by the error lifetime, and opened when it answers.')
  },
  {
    name: 'late-over-ipv6',
    oddity: 'It answers searches after 2.5 s, and opens pinholes for the address that asks only.',
    source: 'https://github.com/OpenRA/OpenRA/issues/15923',
    family: 6,
    gateway: { protocols: ['upnp'], upnp: { searchDelayMs: 2500 } },
    expected: {
      ...mappedBy('upnp', 'It is asked over IPv4, and its refusal leads to a longer search over IPv6.'),
      violations: [`upnp: AddPinhole with InternalClient ${personalityNetwork.host6} from ${personalityNetwork.host}`]
    }
  }
]
