import { checkOptions, familyOf } from '@postern/interface'
import { type OpenUdp, openUdp } from '@postern/net'
import { announcementPort, pcpPort } from './codec.js'

/** The options of {@link pcp}. */
export interface PcpOptions {
  /** The address of the router to ask, IPv4 or IPv6.
   * @default the next hop of every default route */
  readonly gateway?: string
  /** The UDP port of the router.
   * @default 5351 */
  readonly port?: number
  /** The local UDP port to which routers multicast their announcements.
   * @default 5350 */
  readonly announcementPort?: number
  /** Opens UDP sockets.
   * @default real sockets */
  readonly openUdp?: OpenUdp
}

/** Reads the options. Throws a TypeError for an invalid one. */
export function readOptions(options: PcpOptions): Required<Omit<PcpOptions, 'gateway'>> & Pick<PcpOptions, 'gateway'> {
  checkOptions('pcp()', options, { gateway: 'string', port: 'any', announcementPort: 'any', openUdp: 'function' })
  const {
    gateway,
    port = pcpPort,
    announcementPort: announcements = announcementPort,
    openUdp: open = openUdp
  } = options
  if (gateway !== undefined && familyOf(gateway) === undefined)
    throw new TypeError(`gateway is not an IP address: ${gateway}`)
  for (const [name, value] of Object.entries({ port, announcementPort: announcements })) {
    if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new TypeError(`${name} is not a port: ${value}`)
  }
  return { ...(gateway === undefined ? {} : { gateway }), port, announcementPort: announcements, openUdp: open }
}
