import { mappedBy, notMapped, type Personality } from './personality.js'

/** Opcode 0, result 1, an epoch, and an address of zeros: RFC 6886 §3.5 read as an answer for the external address. */
const refusalOf12Bytes = Uint8Array.of(0, 128, 0, 1, 0, 0, 39, 16, 0, 0, 0, 0)

/** Version 1, UNSUPP_VERSION, a lifetime of half an hour. */
const refusalOfVersion1 = Uint8Array.of(1, 128, 0, 1, 0, 0, 7, 8, ...new Uint8Array(16))

/** Routers with unusual combinations of PCP and NAT-PMP. */
export const portControl: readonly Personality[] = [
  {
    name: 'nat-pmp-only',
    oddity: 'A Verizon CR1000A answers PCP in the format of NAT-PMP: unsupported version.',
    source: 'https://github.com/bitcoin/bitcoin/issues/31663',
    gateway: { protocols: ['pcp', 'nat-pmp'] },
    faults: [{ kind: 'bytes', bytes: refusalOf12Bytes, on: 'pcp' }],
    expected: mappedBy('nat-pmp', 'NAT-PMP is tried next.')
  },
  {
    name: 'short-refusal',
    oddity: 'A TP-Link Archer A7 answers PCP with 8 bytes of NAT-PMP.',
    source: 'https://github.com/paullouisageneau/libplum/pull/49',
    gateway: { protocols: ['pcp', 'nat-pmp'] },
    faults: [{ kind: 'downgrade', on: 'pcp' }],
    expected: mappedBy('nat-pmp', 'NAT-PMP is tried next.')
  },
  {
    name: 'pcp-only',
    oddity: 'It answers NAT-PMP in the format of PCP.',
    source: 'https://github.com/tailscale/tailscale/issues/2563',
    gateway: { protocols: ['pcp'] },
    expected: mappedBy('pcp', 'PCP is tried first.')
  },
  {
    name: 'port-5351-closed',
    oddity: 'A Huawei HG8145V5 refuses port 5351, and speaks UPnP.',
    source: 'https://github.com/bitcoin/bitcoin/issues/31663',
    gateway: { protocols: ['upnp'], upnp: { version: 1 } },
    expected: mappedBy('upnp', 'ICMP reports the closed port, so UPnP is tried immediately.')
  },
  {
    name: 'turned-off',
    oddity: 'A FRITZ!Box with disabled port mapping answers NOT_AUTHORIZED with an error lifetime of 0 s.',
    source: 'https://github.com/tailscale/tailscale/issues/1525',
    gateway: { protocols: ['pcp'] },
    faults: [{ kind: 'result', code: 2, lifetimeSeconds: 0, on: 'pcp' }],
    expected: notMapped(
      'gateway-refused',
      'The request is repeated after half an hour, since 0 s is not a valid delay.'
    )
  },
  {
    name: 'no-resources-at-renewal',
    oddity: 'It grants a mapping through PCP, and refuses its renewals with NO_RESOURCES three times.',
    source: 'https://github.com/bitcoin/bitcoin/pull/30043',
    gateway: { protocols: ['pcp'] },
    faults: [{ kind: 'result', code: 8, opcode: 1, on: 'pcp', after: 1, times: 3 }],
    expected: mappedBy('pcp', 'The request is repeated after the error lifetime, well before the mapping ends.')
  },
  {
    name: 'first-version-of-pcp',
    oddity: 'It knows a draft of PCP, and refuses version 2 in the format of version 1.',
    source: 'https://github.com/offbynull/portmapper/issues/3',
    gateway: { protocols: ['pcp', 'nat-pmp'] },
    faults: [{ kind: 'bytes', bytes: refusalOfVersion1, on: 'pcp' }],
    expected: mappedBy('nat-pmp', 'NAT-PMP is tried next.')
  },
  {
    name: 'no-any-port',
    oddity: 'RouterOS refuses a NAT-PMP request for any external port.',
    source: 'https://github.com/tailscale/tailscale/issues/13785',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'no-any-port', on: 'nat-pmp' }],
    expected: { ...mappedBy('nat-pmp', 'The internal port is suggested.'), avoided: true }
  },
  {
    name: 'another-port-granted',
    oddity: 'Another host has the port, and NAT-PMP silently grants another one.',
    source: 'https://github.com/ethereum/go-ethereum/pull/26321',
    gateway: {
      protocols: ['nat-pmp'],
      occupied: [{ externalPort: 8080, internalAddress: '192.168.1.55', internalPort: 8080 }]
    },
    expected: mappedBy('nat-pmp', 'The granted port is reported.')
  },
  {
    name: 'answers-from-another-address',
    oddity: 'An OPNsense pair with CARP answers PCP and NAT-PMP from the machine address, not the gateway address.',
    source: 'https://github.com/tailscale/tailscale/issues/5502',
    gateway: { protocols: ['pcp', 'nat-pmp'] },
    faults: [{ kind: 'wrong-source', what: 'address', on: ['pcp', 'nat-pmp'] }],
    expected: notMapped(
      'no-mapping-service',
      'An answer from another address is ignored. The report names that address and how to configure it.'
    )
  },
  {
    name: 'answers-from-another-port',
    oddity: 'Its port mapping service answers from another port than 5351.',
    source: 'https://www.rfc-editor.org/rfc/rfc6887#section-8.3',
    gateway: { protocols: ['pcp', 'nat-pmp'] },
    faults: [{ kind: 'wrong-source', what: 'port', on: ['pcp', 'nat-pmp'] }],
    expected: notMapped('no-mapping-service', 'An answer from another port is ignored.')
  }
]
