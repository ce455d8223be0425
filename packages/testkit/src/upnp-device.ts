/** One WAN connection of the device, as clients find it in the description. */
export interface WanService {
  readonly type: 'WANIPConnection' | 'WANPPPConnection'
  /** Whose name the service has: the first routers have that of the DSL Forum. @default 'schemas-upnp-org' */
  readonly organisation?: 'schemas-upnp-org' | 'dslforum-org'
  /** Of the service. @default that of the device, and 1 for WANPPPConnection, which was never given a second one */
  readonly version?: 1 | 2
  /** @default 'Connected' */
  readonly status?: 'Connected' | 'Disconnected'
  /** @default the gateway's */
  readonly externalAddress?: string
}

export interface UpnpOptions {
  /** InternetGatewayDevice:1 or :2. @default 2 */
  readonly version?: 1 | 2
  /** In the order of the description. @default one WANIPConnection */
  readonly wan?: readonly WanService[]
  /** WANIPv6FirewallControl:1. @default enabled, pinholes allowed, on an IGD:2; not there on an IGD:1 */
  readonly firewall?: { readonly enabled: boolean; readonly pinholesAllowed: boolean } | null
  /** Before a search is answered. @default 0 */
  readonly searchDelayMs?: number
  /** What is written otherwise in the description: each first text is replaced by the second, everywhere. */
  readonly edits?: readonly (readonly [from: string, to: string])[]
}

/** What the gateway is as a UPnP device. */
export interface UpnpDevice {
  readonly version: 1 | 2
  readonly wan: readonly WanService[]
  readonly hasFirewall: boolean
  readonly firewall: { readonly enabled: boolean; readonly pinholesAllowed: boolean }
  readonly searchDelayMs: number
  readonly edits: readonly (readonly [from: string, to: string])[]
  readonly uuid: string
  /** BOOTID.UPNP.ORG: another one after each reboot (UDA 1.1 §1.2.2). */
  bootId: number
  readonly configId: number
}

/** One thing that can be searched for: a device or service type, and the device it is in. */
export interface SearchTarget {
  readonly type: string
  readonly usn: string
}

export function createUpnpDevice(options: UpnpOptions, random: () => number): UpnpDevice {
  const { version = 2, wan = [{ type: 'WANIPConnection' }], searchDelayMs = 0, edits = [] } = options
  const { firewall = version === 2 ? { enabled: true, pinholesAllowed: true } : null } = options
  const digits = Array.from({ length: 12 }, () => Math.floor(random() * 16).toString(16)).join('')
  return {
    version,
    wan,
    hasFirewall: firewall !== null,
    firewall: firewall ?? { enabled: false, pinholesAllowed: false },
    searchDelayMs,
    edits,
    uuid: `5f0c1a2e-7d34-4b6f-9a10-${digits}`,
    bootId: 1,
    configId: 1337
  }
}

const schema = 'urn:schemas-upnp-org'
export const firewallType: string = `${schema}:service:WANIPv6FirewallControl:1`

export const wanType = (device: UpnpDevice, service: WanService): string =>
  `urn:${service.organisation ?? 'schemas-upnp-org'}:service:${service.type}:${service.version ?? (service.type === 'WANIPConnection' ? device.version : 1)}`

/** Each embedded device has a name of its own. */
const uuids = ({ uuid }: UpnpDevice): readonly [string, string, string] => [
  `uuid:${uuid}`,
  `uuid:${uuid.replace(/^./, 'a')}`,
  `uuid:${uuid.replace(/^./, 'b')}`
]

/** Everything the device can be found as (UDA 1.1 §1.2.2, table 1-1). */
export function searchTargets(device: UpnpDevice): readonly SearchTarget[] {
  const [root, wanDevice, connection] = uuids(device)
  const of = (uuid: string, type: string): SearchTarget => ({ type, usn: `${uuid}::${type}` })
  return [
    of(root, 'upnp:rootdevice'),
    { type: root, usn: root },
    of(root, `${schema}:device:InternetGatewayDevice:${device.version}`),
    of(wanDevice, `${schema}:device:WANDevice:${device.version}`),
    of(wanDevice, `${schema}:service:WANCommonInterfaceConfig:1`),
    of(connection, `${schema}:device:WANConnectionDevice:${device.version}`),
    ...device.wan.map((service) => of(connection, wanType(device, service))),
    ...(device.hasFirewall ? [of(connection, firewallType)] : [])
  ]
}

/** The device description (UDA 1.1 §2.3). */
export function describeDevice(device: UpnpDevice): string {
  const [root, wanDevice, connection] = uuids(device)
  const service = (type: string, id: string, path: string): string =>
    `<service><serviceType>${type}</serviceType><serviceId>urn:upnp-org:serviceId:${id}</serviceId><controlURL>/ctl/${path}</controlURL><eventSubURL>/evt/${path}</eventSubURL><SCPDURL>/${path}.xml</SCPDURL></service>`
  const opening = (kind: string, name: string, uuid: string): string =>
    `<device><deviceType>${schema}:device:${kind}:${device.version}</deviceType><friendlyName>${name}</friendlyName><manufacturer>Postern</manufacturer><manufacturerURL>https://example.org/</manufacturerURL><modelName>Fake gateway</modelName><UDN>${uuid}</UDN>`
  const document = [
    '<?xml version="1.0"?>\r\n',
    `<root xmlns="${schema}:device-1-0" configId="${device.configId}"><specVersion><major>1</major><minor>1</minor></specVersion>`,
    opening('InternetGatewayDevice', 'Fake &amp; strict router', root),
    '<deviceList>',
    opening('WANDevice', 'WANDevice', wanDevice),
    `<serviceList>${service(`${schema}:service:WANCommonInterfaceConfig:1`, 'WANCommonIFC1', 'cif')}</serviceList>`,
    '<deviceList>',
    opening('WANConnectionDevice', 'WANConnectionDevice', connection),
    '<serviceList>',
    ...device.wan.map((each, index) => service(wanType(device, each), `WANConn${index + 1}`, `wan${index}`)),
    device.hasFirewall ? service(firewallType, 'WANIPv6Firewall1', 'firewall') : '',
    '</serviceList></device></deviceList></device></deviceList>',
    '<presentationURL>/</presentationURL></device></root>\r\n'
  ].join('')
  return device.edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new TypeError(`the description has no ${from} to be replaced`)
    return text.replaceAll(from, to)
  }, document)
}
