/** One WAN connection service of the device. */
export interface WanService {
  /** The type of the service. */
  readonly type: 'WANIPConnection' | 'WANPPPConnection'
  /** The domain name in the service type. Early routers use that of the DSL Forum. @default 'schemas-upnp-org' */
  readonly organisation?: 'schemas-upnp-org' | 'dslforum-org'
  /** The version of the service. @default that of the device; 1 for WANPPPConnection, which has only one version */
  readonly version?: 1 | 2
  /** The connection status. @default 'Connected' */
  readonly status?: 'Connected' | 'Disconnected'
  /** The external address that the service reports. @default that of the gateway */
  readonly externalAddress?: string
}

/** The properties of the UPnP device. */
export interface UpnpOptions {
  /** InternetGatewayDevice:1 or :2. @default 2 */
  readonly version?: 1 | 2
  /** The WAN connections, in the order of the description. @default one WANIPConnection */
  readonly wan?: readonly WanService[]
  /** WANIPv6FirewallControl:1. @default enabled with pinholes allowed on an IGD:2; absent on an IGD:1 */
  readonly firewall?: { readonly enabled: boolean; readonly pinholesAllowed: boolean } | null
  /** The delay of answers to searches, in milliseconds. @default 0 */
  readonly searchDelayMs?: number
  /** Edits of the description: each first text is replaced by the second one, everywhere. */
  readonly edits?: readonly (readonly [from: string, to: string])[]
}

/** The UPnP device of the gateway. */
export interface UpnpDevice {
  readonly version: 1 | 2
  readonly wan: readonly WanService[]
  readonly hasFirewall: boolean
  readonly firewall: { readonly enabled: boolean; readonly pinholesAllowed: boolean }
  readonly searchDelayMs: number
  readonly edits: readonly (readonly [from: string, to: string])[]
  readonly uuid: string
  /** BOOTID.UPNP.ORG, which changes with each reboot (UDA 1.1 §1.2.2). */
  bootId: number
  readonly configId: number
}

/** A search target: a device or service type, and its device. */
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

/** Returns a UUID for each embedded device. */
const uuids = ({ uuid }: UpnpDevice): readonly [string, string, string] => [
  `uuid:${uuid}`,
  `uuid:${uuid.replace(/^./, 'a')}`,
  `uuid:${uuid.replace(/^./, 'b')}`
]

/** Returns all search targets of the device (UDA 1.1 §1.2.2, table 1-1). */
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

/** Returns the device description (UDA 1.1 §2.3). */
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
    if (!text.includes(from)) throw new TypeError(`the description does not contain ${from}`)
    return text.replaceAll(from, to)
  }, document)
}
