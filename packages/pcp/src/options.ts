import { checkOptions, familyOf } from '@postern/interface'
import { type OpenUdp, openUdp } from '@postern/net'
import { announcementPort, pcpPort } from './codec.js'

export interface PcpOptions {
  /** The router to ask, as an IPv4 or IPv6 address.
   * @default the next hop of every default route */
  readonly gateway?: string
  /** The UDP port that the router answers on.
   * @default 5351 */
  readonly port?: number
  /** The UDP port that routers multicast their announcements to.
   * @default 5350 */
  readonly announcementPort?: number
  /** How UDP sockets are opened.
   * @default real sockets */
  readonly openUdp?: OpenUdp
}

/** Reads the options once. Throws a TypeError for one that cannot be right. */
export function readOptions(options: PcpOptions): Required<Omit<PcpOptions, 'gateway'>> & Pick<PcpOptions, 'gateway'> {
  checkOptions('pcp()', options, { gateway: 'string', port: 'any', announcementPort: 'any', openUdp: 'function' })
  const {
    gateway,
    port = pcpPort,
    announcementPort: announcements = announcementPort,
    openUdp: open = openUdp
  } = options
  if (gateway !== undefined && familyOf(gateway) === undefined)
    throw new TypeError(`gateway is no IP address: ${gateway}`)
  for (const [name, value] of Object.entries({ port, announcementPort: announcements })) {
    if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new TypeError(`${name} is no port: ${value}`)
  }
  return { ...(gateway === undefined ? {} : { gateway }), port, announcementPort: announcements, openUdp: open }
}
