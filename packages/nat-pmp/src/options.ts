import { checkOptions, familyOf } from '@postern/interface'
import { type OpenUdp, openUdp } from '@postern/net'
import { announcementPort, natPmpPort } from './codec.js'

export interface NatPmpOptions {
  /** The router to ask, as an IPv4 address.
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
export function readOptions(
  options: NatPmpOptions
): Required<Omit<NatPmpOptions, 'gateway'>> & Pick<NatPmpOptions, 'gateway'> {
  checkOptions('natPmp()', options, { gateway: 'string', port: 'any', announcementPort: 'any', openUdp: 'function' })
  const {
    gateway,
    port = natPmpPort,
    announcementPort: announcements = announcementPort,
    openUdp: open = openUdp
  } = options
  if (gateway !== undefined && familyOf(gateway) !== 4) throw new TypeError(`gateway is no IPv4 address: ${gateway}`)
  for (const [name, value] of Object.entries({ port, announcementPort: announcements })) {
    if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new TypeError(`${name} is no port: ${value}`)
  }
  return { ...(gateway === undefined ? {} : { gateway }), port, announcementPort: announcements, openUdp: open }
}
