import { nodeFs } from '../async/builtins.js'
import { notPermitted } from './permission.js'
import { halvesMetric, type Route } from './route.js'

const up = 0x0001 // RTF_UP in linux/route.h
const reject = 0x0200 // RTF_REJECT

/** Parses the default routes in `/proc/net/route`. Skips malformed lines. */
export function parseProcRoute(text: string): readonly Route[] {
  const rows = text.split('\n').flatMap((line) => {
    const [link, destination, gateway, flags, , , metric, mask] = line.trim().split(/\s+/)
    const usable = link !== undefined && isHex(destination, 8) && isHex(gateway, 8) && isHex(mask, 8) && isUsable(flags)
    if (!usable || !/^\d+$/.test(metric ?? '')) return []
    const hop = littleEndianAddress(gateway)
    return [{ link, destination, mask, metric: Number(metric), gateway: hop === '0.0.0.0' ? undefined : hop }]
  })
  const route = ({ link, gateway }: (typeof rows)[number], metric: number): Route => ({
    family: 4,
    gateway,
    interface: link,
    metric
  })
  const whole = rows.filter(({ destination, mask }) => destination === '00000000' && mask === '00000000')
  const lower = rows.filter(({ destination, mask }) => destination === '00000000' && mask === '00000080')
  const upper = rows.filter(({ destination, mask }) => destination === '00000080' && mask === '00000080')
  const halves = lower.filter((row) => upper.some(({ link }) => link === row.link))
  return [...halves.map((row) => route(row, halvesMetric)), ...whole.map((row) => route(row, row.metric))]
}

/** Parses the default routes in `/proc/net/ipv6_route`. Skips malformed lines. */
export function parseProcIpv6Route(text: string): readonly Route[] {
  return text.split('\n').flatMap((line): Route[] => {
    const [destination, length, , , gateway, metric, , , flags, link] = line.trim().split(/\s+/)
    if (link === undefined || link === 'lo' || !/^0{32}$/.test(destination ?? '') || length !== '00') return []
    if (!isHex(gateway, 32) || !isHex(metric, 8) || !isUsable(flags)) return []
    const hop = /^0+$/.test(gateway) ? undefined : groups(gateway)
    return [{ family: 6, gateway: hop, interface: link, metric: Number.parseInt(metric, 16) }]
  })
}

/** Parses `/proc/net/arp`. Returns the hardware addresses by `<address>%<interface>`. */
export function parseProcArp(text: string): ReadonlyMap<string, string> {
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/))
  return new Map(
    rows.flatMap(([address, , flags, mac, , link]): [string, string][] => {
      const known = Number.parseInt(flags ?? '', 16) & 0x2 // ATF_COM: resolved
      return address !== undefined && mac !== undefined && link !== undefined && known
        ? [[`${address}%${link}`, mac]]
        : []
    })
  )
}

/** Parses `/proc/net/if_inet6`. Returns the IPv6 addresses that are not for incoming connections: temporary, deprecated
 * and tentative ones. */
export function parseProcIfInet6(text: string): ReadonlySet<string> {
  const unfit = 0x01 | 0x20 | 0x40 | 0x08 // IFA_F_TEMPORARY, _DEPRECATED, _TENTATIVE, _DADFAILED
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/))
  return new Set(
    rows.flatMap(([address, , , , flags]) =>
      isHex(address, 32) && Number.parseInt(flags ?? '', 16) & unfit ? [groups(address)] : []
    )
  )
}

/** Resolves to the default routes in /proc; none if the kernel has no such files. Rejects with `NOT_PERMITTED` if the
 * runtime does not let this program read them. */
export async function linuxRoutes(): Promise<readonly Route[]> {
  const macs = parseProcArp(readProc('arp'))
  return [...parseProcRoute(readProc('route')), ...parseProcIpv6Route(readProc('ipv6_route'))].map((each) => {
    const mac = macs.get(`${each.gateway}%${each.interface}`)
    return mac === undefined ? each : { ...each, mac }
  })
}

/** Resolves to the IPv6 addresses of this machine that are not for incoming connections. */
export const linuxUnfitAddresses = async (): Promise<ReadonlySet<string>> => parseProcIfInet6(readProc('if_inet6'))

/** Returns the content of a file in /proc/net; an empty text if the file does not exist, for example if IPv6 is
 * disabled. Reads synchronously: the kernel produces the content without disk access, so asynchronous reads would only
 * cost threads. */
function readProc(name: string): string {
  try {
    return nodeFs().readFileSync(`/proc/self/net/${name}`, 'utf8')
  } catch (error) {
    const refused = notPermitted(error)
    if (refused !== undefined) throw refused
    return ''
  }
}

const isHex = (text: string | undefined, length: number): text is string =>
  text !== undefined && text.length === length && /^[0-9a-f]+$/i.test(text)

function isUsable(flags: string | undefined): boolean {
  const bits = Number.parseInt(flags ?? '', 16)
  return (bits & up) !== 0 && (bits & reject) === 0
}

/** Parses an address of `/proc/net/route`, which the kernel prints as a little-endian integer. */
function littleEndianAddress(hex: string): string {
  const bytes = hex.match(/../g) ?? []
  return bytes
    .toReversed()
    .map((byte) => Number.parseInt(byte, 16))
    .join('.')
}

const groups = (hex: string): string => (hex.match(/.{4}/g) ?? []).join(':')
