import { mappedBy, notMapped, type Personality, personalityNetwork } from './personality.js'

const upnpOnly = { protocols: ['upnp'], upnp: { version: 1 } } as const
const neighbour = { externalPort: 8080, internalAddress: '192.168.1.55', internalPort: 8080 }
const add = { kind: 'soap-fault', action: 'AddPortMapping' } as const

/** Routers that refuse requests, rightly or wrongly. */
export const refusals: readonly Personality[] = [
  {
    name: 'port-of-another-host',
    oddity: 'The port is mapped to a previous address of this host, and it answers 718.',
    source: 'https://github.com/archethic-foundation/archethic-node/issues/698',
    gateway: { ...upnpOnly, occupied: [neighbour] },
    expected: mappedBy('upnp', 'Another external port is requested, and the entry of the other host stays.')
  },
  {
    name: 'one-external-port',
    oddity: 'It maps an internal port to one external port only (718), and still has the entry of an earlier run.',
    source: 'https://github.com/syncthing/syncthing/issues/9324',
    gateway: {
      ...upnpOnly,
      occupied: [{ externalPort: 40_000, internalAddress: personalityNetwork.host, internalPort: 8080 }]
    },
    faults: [{ kind: 'one-external-port' }],
    expected: mappedBy('upnp', 'The entry of the earlier run is found and reused.')
  },
  {
    name: 'conflict-with-nothing',
    oddity: 'A Sagemcom answers 718 to every mapping, and 714 to every query.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/69',
    gateway: upnpOnly,
    faults: [{ ...add, code: 718 }],
    expected: notMapped('gateway-refused', 'Eight ports are tried, then the request is repeated with growing delays.')
  },
  {
    name: 'other-mechanisms',
    oddity: 'It answers 729 to every mapping: another function of the router uses the port.',
    source: 'https://github.com/lontivero/Open.NAT/issues/70',
    gateway: upnpOnly,
    faults: [{ ...add, code: 729 }],
    expected: notMapped('gateway-refused', 'Eight ports are tried, then the request is repeated with growing delays.')
  },
  {
    name: 'fritz-not-authorized',
    oddity: 'A FRITZ!Box answers 606, and NOT_AUTHORIZED in PCP, until this device may open ports.',
    source: 'https://github.com/lontivero/Open.NAT/issues/80',
    gateway: { protocols: ['pcp', 'upnp'] },
    faults: [
      { kind: 'soap-fault', code: 606, action: 'AddAnyPortMapping' },
      { kind: 'result', code: 2, on: 'pcp' }
    ],
    expected: notMapped('gateway-refused', 'The advice is to allow this in the router.')
  },
  {
    name: 'failed-where-taken',
    oddity: 'A Linksys answers 501 for the requested port, and maps others.',
    source: 'https://github.com/nicotine-plus/nicotine-plus/issues/2088',
    gateway: upnpOnly,
    faults: [{ kind: 'allowed-ports', first: 10_000, last: 65_535, code: 501 }],
    expected: mappedBy('upnp', 'After a refusal without a reason, a mapping without an end is tried, then other ports.')
  },
  {
    name: 'failed-always',
    oddity: 'miniupnpd with broken nftables rules answers 501 to every mapping.',
    source: 'https://github.com/openwrt/packages/issues/17871',
    gateway: upnpOnly,
    faults: [{ ...add, code: 501 }],
    expected: notMapped(
      'gateway-refused',
      'A few ports and leases are tried, then the request is repeated with growing delays.'
    )
  },
  {
    name: 'above-1023',
    oddity: 'It maps external ports above 1023 only, and answers 606 for others.',
    source: 'https://github.com/miniupnp/miniupnp/issues/692',
    gateway: upnpOnly,
    port: 443,
    faults: [{ kind: 'allowed-ports', first: 1024, last: 65_535 }],
    expected: mappedBy('upnp', 'Another external port is requested.')
  },
  {
    name: 'narrow-range',
    oddity: 'Behind MAP-E it maps 16 external ports only, and answers 606 for all others.',
    source: 'https://github.com/miniupnp/miniupnp/issues/465',
    gateway: upnpOnly,
    faults: [{ kind: 'allowed-ports', first: 62_816, last: 62_831 }],
    expected: notMapped('gateway-refused', 'An IGD:1 does not report its range, and a few guesses do not find it.')
  },
  {
    name: 'narrow-range-with-pcp',
    oddity: 'Behind MAP-E it maps 16 external ports only, and also speaks PCP.',
    source: 'https://github.com/miniupnp/miniupnp/issues/465',
    faults: [{ kind: 'allowed-ports', first: 62_816, last: 62_831 }],
    expected: mappedBy('pcp', 'The port that PCP assigns is reported.')
  },
  {
    name: 'same-port-and-taken',
    oddity: 'It maps an internal port to the same external port only (724), and another host has it.',
    source: 'https://github.com/miniupnp/miniupnp/pull/677',
    gateway: { ...upnpOnly, occupied: [neighbour] },
    faults: [{ kind: 'same-port' }],
    expected: notMapped('gateway-refused', 'There is no other port to request.')
  },
  {
    name: 'no-wildcard-wanted',
    oddity: 'It answers 716 to AddAnyPortMapping, and accepts AddPortMapping.',
    source:
      'https://github.com/miniupnp/miniupnp/blob/cd703d4cd0cc09c12b34f5f35f45abf768a369e4/miniupnpc/src/upnperrors.c',
    gateway: { protocols: ['upnp'] },
    faults: [{ kind: 'soap-fault', code: 716, action: 'AddAnyPortMapping' }],
    expected: mappedBy('upnp', 'AddPortMapping is tried next, and from then on first.')
  },
  {
    name: 'wildcards-only',
    oddity: 'It answers 727, since it maps all external ports to one host, or none.',
    source:
      'https://github.com/miniupnp/miniupnp/blob/cd703d4cd0cc09c12b34f5f35f45abf768a369e4/miniupnpc/src/upnperrors.c',
    gateway: upnpOnly,
    faults: [{ ...add, code: 727 }],
    expected: notMapped('gateway-refused', 'External port 0 stands for all ports, and is never requested.')
  },
  {
    name: 'table-full',
    oddity: 'Its table is full, and it answers 728.',
    source: 'https://github.com/bitletorg/weupnp/issues/12',
    gateway: { ...upnpOnly, maxMappings: 1, occupied: [{ ...neighbour, externalPort: 80 }] },
    expected: notMapped('gateway-refused', 'The entries of other hosts stay.')
  },
  {
    name: 'table-full-invalid-args',
    oddity: 'Its table is full, and it answers 402.',
    source: 'https://github.com/miniupnp/miniupnp/issues/92',
    gateway: upnpOnly,
    faults: [{ ...add, code: 402 }],
    expected: notMapped(
      'gateway-refused',
      'A few ports and leases are tried, then the request is repeated with growing delays.'
    )
  },
  {
    name: 'table-full-silently',
    oddity: 'A Linksys with 32 entries grants more of them without creating them.',
    source: 'https://github.com/bitletorg/weupnp/issues/12',
    gateway: upnpOnly,
    faults: [{ kind: 'lie', on: 'control' }],
    expected: notMapped('gateway-refused', 'The list does not show the mapping, so it is not reported.')
  },
  {
    name: 'add-any-resets',
    oddity: 'A Ubee closes the connection at AddAnyPortMapping, and accepts AddPortMapping.',
    source: 'https://github.com/miniupnp/miniupnp/issues/528',
    gateway: { protocols: ['upnp'] },
    faults: [{ kind: 'http', what: 'reset', action: 'AddAnyPortMapping', on: 'control' }],
    expected: mappedBy('upnp', 'AddPortMapping is tried next, and from then on first.')
  }
]
