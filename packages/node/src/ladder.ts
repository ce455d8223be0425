import { didYouMean, familyOf, type Strategy } from '@postern/interface'
import { manual } from '@postern/manual'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { stun } from '@postern/stun'
import { upnp } from '@postern/upnp'

/** Returns the default strategies for any Node.js program, in rank order: PCP, NAT-PMP, UPnP. */
export const defaultStrategies = (): readonly Strategy[] => [pcp(), natPmp(), upnp()]

/** The grammar of strategies in text form, for help texts. */
export const ladderGrammar =
  'any | none | pcp[:<gateway>] | nat-pmp[:<gateway>] | upnp[:<gateway>] | manual:<ip>:<port> | manual:<port> | stun:<host>[:<port>], joined by commas'

const names = ['any', 'none', 'pcp', 'nat-pmp', 'upnp', 'manual', 'stun']

/**
 * Parses strategies from text, in rank order: `any`, `none`, `pcp`, `nat-pmp:192.168.1.1`, `upnp`,
 * `manual:<ip>:<port>`, `stun:<host>:<port>`, joined by commas. An IPv6 address before a port is in brackets:
 * `manual:[2001:db8::1]:8080`.
 *
 * Throws a TypeError that quotes the part that is invalid.
 */
export function parseLadder(text: string): readonly Strategy[] {
  if (typeof text !== 'string')
    throw new TypeError(`parseLadder() takes text, such as 'pcp,upnp', and not ${String(text)}`)
  const parts = text.split(',').map((part) => part.trim())
  const isServer = (part: string): boolean => part.startsWith('stun:')
  return parts.flatMap((part, index): readonly Strategy[] => {
    const colon = part.indexOf(':')
    const name = colon < 0 ? part : part.slice(0, colon)
    const rest = colon < 0 ? undefined : part.slice(colon + 1)
    if (name === 'manual' && rest !== undefined) return [manualForward(rest, part)]
    // The answers of servers are compared with each other, so all servers form one strategy, at the position of the
    // first.
    if (name === 'stun' && rest !== undefined)
      return index === parts.findIndex(isServer) ? [stun({ servers: parts.filter(isServer) })] : []
    if (name === 'any' && rest === undefined) return defaultStrategies()
    if (name === 'none' && rest === undefined && parts.length === 1) return []
    if (part === '' && text.trim() !== '')
      throw new TypeError(`"${text}": there is no strategy before or after a comma`)
    if (part === 'none') throw new TypeError('"none" stands alone: it means that no strategy is used')
    if (!['pcp', 'nat-pmp', 'upnp'].includes(name))
      throw new TypeError(`"${part}" is none of: ${ladderGrammar}.${didYouMean(name, names)}`)
    const gateway = rest === undefined ? {} : { gateway: bare(rest) }
    if (rest === '') throw new TypeError(`"${part}": give an IP address after the colon, or leave the colon out`)
    if (rest !== undefined && familyOf(bare(rest)) === undefined)
      throw new TypeError(`"${part}": ${rest} is not an IP address`)
    if (name === 'pcp') return [pcp(gateway)]
    if (name === 'nat-pmp') return [natPmp(gateway)]
    return [upnp(gateway)]
  })
}

function manualForward(rest: string, part: string): Strategy {
  const match = /^(?:(.+):)?(\d{1,5})$/.exec(rest)
  const port = Number(match?.[2])
  if (match === null || port < 1 || port > 65_535) throw new TypeError(`"${part}": give it as manual:<ip>:<port>`)
  const address = match[1] === undefined ? undefined : bare(match[1])
  if (address === undefined) return manual({ port })
  const family = familyOf(address)
  if (family === undefined) throw new TypeError(`"${part}": ${address} is not an IP address`)
  return manual({ address: `/ip${family}/${address}`, port })
}

const bare = (address: string): string => address.replace(/^\[(.*)\]$/, '$1')
