import { mappedBy, notMapped, type Personality } from './personality.js'

const upnpOnly = { protocols: ['upnp'], upnp: { version: 1 } } as const
const edited = (...edits: readonly (readonly [string, string])[]) =>
  ({ protocols: ['upnp'], upnp: { version: 1, edits } }) as const

/** Routers that are hard to find or have unusual descriptions. */
export const descriptions: readonly Personality[] = [
  {
    name: 'crlf-between-tags',
    oddity: 'Each tag of its description is on its own line, with CRLF.',
    source: 'https://github.com/flyte/upnpclient/issues/15',
    gateway: edited(['><', '>\r\n<']),
    expected: mappedBy('upnp', 'White space between tags is ignored.')
  },
  {
    name: 'white-space-in-values',
    oddity: 'There is white space around the addresses in its description.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/1',
    gateway: edited(['<controlURL>', '<controlURL>\n  '], ['</controlURL>', '      </controlURL>']),
    expected: mappedBy('upnp', 'White space around values is ignored.')
  },
  {
    name: 'byte-order-mark',
    oddity: 'Its documents begin with a byte order mark.',
    source: 'https://github.com/pupnp/pupnp/issues/412',
    gateway: upnpOnly,
    faults: [{ kind: 'xml', what: 'byte-order-mark', on: ['description', 'control'] }],
    expected: mappedBy('upnp', 'The byte order mark is skipped.')
  },
  {
    name: 'trailing-nul',
    oddity: 'A D-Link DSL-3900 ends its documents with a NUL.',
    source: 'https://github.com/StevenLooman/async_upnp_client/issues/63',
    gateway: upnpOnly,
    faults: [{ kind: 'xml', what: 'trailing-nul', on: ['description', 'control'] }],
    expected: mappedBy('upnp', 'Bytes after the document are ignored.')
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
    expected: mappedBy('upnp', 'The case of header names is ignored.')
  },
  {
    name: 'tight-headers',
    oddity: 'A NETGEAR omits the space after the colon of each header.',
    source: 'https://github.com/libretro/RetroArch/pull/13399',
    gateway: upnpOnly,
    faults: [
      { kind: 'http', what: 'tight-headers', on: 'ssdp' },
      { kind: 'http', what: 'tight-headers', on: ['description', 'control'] }
    ],
    expected: mappedBy('upnp', 'The space is optional.')
  },
  {
    name: 'chunked',
    oddity: 'A device with libupnp 1.6 sends its answers in chunks.',
    source: 'https://github.com/lunarmodules/luasocket/issues/153',
    gateway: upnpOnly,
    faults: [{ kind: 'http', what: 'chunked', on: ['description', 'control'] }],
    expected: mappedBy('upnp', 'The chunks are joined.')
  },
  {
    name: 'no-length',
    oddity: 'Its answers have no Content-Length and end with the connection.',
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
    expected: mappedBy('upnp', 'An absolute URL is used unchanged.')
  },
  {
    name: 'control-on-another-port',
    oddity: 'A TP-Link has its control URL at another port than its description.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/1',
    gateway: edited(['<controlURL>/ctl/', '<controlURL>http://192.168.1.1:1910/ctl/']),
    network: { controlPort: 1910 },
    expected: mappedBy('upnp', 'Another port of the same router is accepted.')
  },
  {
    name: 'relative-control-address',
    oddity: 'Its control URLs are relative.',
    source: 'http://upnp.org/specs/arch/UPnP-arch-DeviceArchitecture-v1.1.pdf',
    gateway: edited(['<controlURL>/ctl/', '<controlURL>ctl/']),
    expected: mappedBy('upnp', 'They are resolved against the URL of the description.')
  },
  {
    name: 'wfa-device-beside-it',
    oddity: 'A TP-Link Archer C8 also describes a Wi-Fi Alliance device.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/1',
    gateway: edited([
      '<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice',
      '<deviceList><device><deviceType>urn:schemas-wifialliance-org:device:WFADevice:1</deviceType><serviceList><service><serviceType>urn:schemas-wifialliance-org:service:WFAWLANConfig:1</serviceType><controlURL>/wfa</controlURL></service></serviceList></device><device><deviceType>urn:schemas-upnp-org:device:WANDevice'
    ]),
    expected: mappedBy('upnp', 'Services of other types are ignored.')
  },
  {
    name: 'second-service-in-a-first-device',
    oddity: 'An InternetGatewayDevice:1 that has WANIPConnection:2.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/33',
    gateway: { protocols: ['upnp'], upnp: { version: 1, wan: [{ type: 'WANIPConnection', version: 2 }] } },
    expected: mappedBy('upnp', 'The version of the service is used, not that of the device.')
  },
  {
    name: 'says-first-means-second',
    oddity: 'A Technicolor is found as InternetGatewayDevice:1 only, and describes itself as :2.',
    source: 'https://github.com/sbstp/rust-igd/issues/12',
    gateway: { protocols: ['upnp'] },
    faults: [{ kind: 'search-targets', only: ['urn:schemas-upnp-org:device:InternetGatewayDevice:1'] }],
    expected: mappedBy('upnp', 'Both versions are searched for, and the description is authoritative.')
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
    expected: mappedBy('upnp', 'Replies are matched by address, not by port.')
  },
  {
    name: 'search-from-another-address',
    oddity: 'A router of a pair with CARP answers searches from the address of the machine.',
    source: 'https://github.com/tailscale/tailscale/pull/6946',
    gateway: upnpOnly,
    faults: [{ kind: 'wrong-source', what: 'address', on: 'ssdp' }],
    expected: mappedBy('upnp', 'The reply is accepted, because its description is at the address of the gateway.')
  },
  {
    name: 'multicast-searches-only',
    oddity: 'It answers multicast searches only, as UPnP 1.0 defines.',
    source: 'http://upnp.org/specs/arch/UPnP-arch-DeviceArchitecture-v1.1.pdf',
    gateway: upnpOnly,
    faults: [{ kind: 'hears-only', cast: 'multicast' }],
    expected: mappedBy('upnp', 'Both kinds of search are sent.')
  },
  {
    name: 'names-of-the-dsl-forum',
    oddity: 'Its services have the older names of the DSL Forum.',
    source: 'https://github.com/tailscale/tailscale/pull/10927',
    gateway: {
      protocols: ['upnp'],
      upnp: { version: 1, wan: [{ type: 'WANPPPConnection', organisation: 'dslforum-org' }] }
    },
    expected: mappedBy('upnp', 'They are treated as the same services, with the lowest priority.')
  },
  {
    name: 'tr-064-only',
    oddity: 'A FRITZ!Box without UPnP lists the services of TR-064, which require a login (401).',
    source: 'https://github.com/kbr/fritzconnection/issues/236',
    gateway: {
      protocols: ['upnp'],
      upnp: { version: 1, wan: [{ type: 'WANIPConnection', organisation: 'dslforum-org' }] }
    },
    faults: [{ kind: 'http', what: 'empty', status: 401, on: 'control' }],
    expected: notMapped('no-mapping-service', 'The report says that the router requires a login.')
  }
]
