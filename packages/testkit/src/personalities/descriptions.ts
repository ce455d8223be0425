import { mappedBy, notMapped, type Personality } from './personality.js'

const upnpOnly = { protocols: ['upnp'], upnp: { version: 1 } } as const
const edited = (...edits: readonly (readonly [string, string])[]) =>
  ({ protocols: ['upnp'], upnp: { version: 1, edits } }) as const

/** Routers that are hard to find, or that describe themselves in their own way. */
export const descriptions: readonly Personality[] = [
  {
    name: 'crlf-between-tags',
    oddity: 'Each tag of its description stands on a line of its own, with CRLF.',
    source: 'https://github.com/flyte/upnpclient/issues/15',
    gateway: edited(['><', '>\r\n<']),
    expected: mappedBy('upnp', 'White space between tags means nothing.')
  },
  {
    name: 'white-space-in-values',
    oddity: 'There is white space around the addresses in its description.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/1',
    gateway: edited(['<controlURL>', '<controlURL>\n  '], ['</controlURL>', '      </controlURL>']),
    expected: mappedBy('upnp', 'White space around values means nothing.')
  },
  {
    name: 'byte-order-mark',
    oddity: 'Its documents begin with a byte order mark.',
    source: 'https://github.com/pupnp/pupnp/issues/412',
    gateway: upnpOnly,
    faults: [{ kind: 'xml', what: 'byte-order-mark', on: ['description', 'control'] }],
    expected: mappedBy('upnp', 'The mark is skipped.')
  },
  {
    name: 'trailing-nul',
    oddity: 'A D-Link DSL-3900 ends its documents with a NUL.',
    source: 'https://github.com/StevenLooman/async_upnp_client/issues/63',
    gateway: upnpOnly,
    faults: [{ kind: 'xml', what: 'trailing-nul', on: ['description', 'control'] }],
    expected: mappedBy('upnp', 'What comes after the document means nothing.')
  },
  {
    name: 'unusual-header-names',
    oddity: 'Its header names are not in upper case.',
    source: 'https://github.com/mkg20001/nat-puncher/issues/7',
    gateway: upnpOnly,
    faults: [
      { kind: 'http', what: 'lower-case-headers', on: 'ssdp' },
      { kind: 'http', what: 'lower-case-headers', on: ['description', 'control'] }
    ],
    expected: mappedBy('upnp', 'The case of header names means nothing.')
  },
  {
    name: 'tight-headers',
    oddity: 'A NETGEAR leaves out the blank after the colon of each header.',
    source: 'https://github.com/libretro/RetroArch/pull/13399',
    gateway: upnpOnly,
    faults: [
      { kind: 'http', what: 'tight-headers', on: 'ssdp' },
      { kind: 'http', what: 'tight-headers', on: ['description', 'control'] }
    ],
    expected: mappedBy('upnp', 'The blank is optional.')
  },
  {
    name: 'chunked',
    oddity: 'A device with libupnp 1.6 sends its answers in chunks.',
    source: 'https://github.com/lunarmodules/luasocket/issues/153',
    gateway: upnpOnly,
    faults: [{ kind: 'http', what: 'chunked', on: ['description', 'control'] }],
    expected: mappedBy('upnp', 'The chunks are put together.')
  },
  {
    name: 'no-length',
    oddity: 'Its answers end with the connection, and tell no Content-Length.',
    source: 'https://github.com/ofekp/TinyUPnP/pull/19',
    gateway: upnpOnly,
    faults: [{ kind: 'http', what: 'no-content-length', on: ['description', 'control'] }],
    expected: mappedBy('upnp', 'The end of the connection is the end of the answer.')
  },
  {
    name: 'url-base-without-port',
    oddity: 'A Linksys WRT120N has a URLBase without its port, and absolute control addresses at port 80.',
    source: 'https://github.com/syncthing/syncthing/issues/1696',
    gateway: edited(
      ['</specVersion>', '</specVersion><URLBase>http://192.168.1.1</URLBase>'],
      ['<controlURL>/ctl/', '<controlURL>http://192.168.1.1:80/ctl/']
    ),
    network: { controlPort: 80 },
    expected: mappedBy('upnp', 'An absolute address counts as it is.')
  },
  {
    name: 'control-on-another-port',
    oddity: 'A TP-Link is controlled at another port than the one of its description.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/1',
    gateway: edited(['<controlURL>/ctl/', '<controlURL>http://192.168.1.1:1910/ctl/']),
    network: { controlPort: 1910 },
    expected: mappedBy('upnp', 'Another port of the same router is the router.')
  },
  {
    name: 'relative-control-address',
    oddity: 'Its control addresses are relative.',
    source: 'http://upnp.org/specs/arch/UPnP-arch-DeviceArchitecture-v1.1.pdf',
    gateway: edited(['<controlURL>/ctl/', '<controlURL>ctl/']),
    expected: mappedBy('upnp', 'They are resolved against the address of the description.')
  },
  {
    name: 'wfa-device-beside-it',
    oddity: 'A TP-Link Archer C8 describes a Wi-Fi Alliance device beside the one that maps.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/1',
    gateway: edited([
      '<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice',
      '<deviceList><device><deviceType>urn:schemas-wifialliance-org:device:WFADevice:1</deviceType><serviceList><service><serviceType>urn:schemas-wifialliance-org:service:WFAWLANConfig:1</serviceType><controlURL>/wfa</controlURL></service></serviceList></device><device><deviceType>urn:schemas-upnp-org:device:WANDevice'
    ]),
    expected: mappedBy('upnp', 'Services of other kinds are left alone.')
  },
  {
    name: 'second-service-in-a-first-device',
    oddity: 'An InternetGatewayDevice:1 that has WANIPConnection:2.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/33',
    gateway: { protocols: ['upnp'], upnp: { version: 1, wan: [{ type: 'WANIPConnection', version: 2 }] } },
    expected: mappedBy('upnp', 'The version of the service counts.')
  },
  {
    name: 'says-first-means-second',
    oddity: 'A Technicolor is found as InternetGatewayDevice:1 only, and describes itself as :2.',
    source: 'https://github.com/sbstp/rust-igd/issues/12',
    gateway: { protocols: ['upnp'] },
    faults: [{ kind: 'search-targets', only: ['urn:schemas-upnp-org:device:InternetGatewayDevice:1'] }],
    expected: mappedBy('upnp', 'Both are searched for, and the description counts.')
  },
  {
    name: 'found-as-a-service-only',
    oddity: 'It answers searches for upnp:rootdevice and WANIPConnection:1 only.',
    source: 'https://github.com/dariusc93/rust-igd/issues/29',
    gateway: upnpOnly,
    faults: [
      {
        kind: 'search-targets',
        only: ['upnp:rootdevice', 'urn:schemas-upnp-org:service:WANIPConnection:1']
      }
    ],
    expected: mappedBy('upnp', 'Every second round of searches asks for upnp:rootdevice.')
  },
  {
    name: 'search-from-another-port',
    oddity: "Orange's FunBox answers searches from another port than 1900.",
    source: 'https://github.com/tailscale/tailscale/issues/14344',
    gateway: upnpOnly,
    faults: [{ kind: 'wrong-source', what: 'port', on: 'ssdp' }],
    expected: mappedBy('upnp', 'The address counts, not the port.')
  },
  {
    name: 'search-from-another-address',
    oddity: 'A router of a pair with CARP answers searches from the address of the machine.',
    source: 'https://github.com/tailscale/tailscale/pull/6946',
    gateway: upnpOnly,
    faults: [{ kind: 'wrong-source', what: 'address', on: 'ssdp' }],
    expected: mappedBy('upnp', 'The description is at the address of the gateway, and that counts.')
  },
  {
    name: 'multicast-searches-only',
    oddity: 'It answers searches by multicast only, as UPnP 1.0 has it.',
    source: 'http://upnp.org/specs/arch/UPnP-arch-DeviceArchitecture-v1.1.pdf',
    gateway: upnpOnly,
    faults: [{ kind: 'hears-only', cast: 'multicast' }],
    expected: mappedBy('upnp', 'Both kinds of search are sent.')
  },
  {
    name: 'names-of-the-dsl-forum',
    oddity: 'Its services have the names of the DSL Forum, from before the UPnP Forum had its own.',
    source: 'https://github.com/tailscale/tailscale/pull/10927',
    gateway: {
      protocols: ['upnp'],
      upnp: { version: 1, wan: [{ type: 'WANPPPConnection', organisation: 'dslforum-org' }] }
    },
    expected: mappedBy('upnp', 'They are the same services, and the last choice.')
  },
  {
    name: 'tr-064-only',
    oddity: 'A FRITZ!Box without UPnP lists the services of TR-064, which want a login (401).',
    source: 'https://github.com/kbr/fritzconnection/issues/236',
    gateway: {
      protocols: ['upnp'],
      upnp: { version: 1, wan: [{ type: 'WANIPConnection', organisation: 'dslforum-org' }] }
    },
    faults: [{ kind: 'http', what: 'empty', status: 401, on: 'control' }],
    expected: notMapped('no-mapping-service', 'It is told that the router wants a login.')
  }
]
