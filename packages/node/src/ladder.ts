import { bore, fromText as boreFromText } from '@postern/bore'
import { didYouMean, familyOf, type ServerHost, type Strategy } from '@postern/interface'
import { manual } from '@postern/manual'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { ssh, fromText as sshFromText } from '@postern/ssh'
import { stun } from '@postern/stun'
import { upnp } from '@postern/upnp'
import { type WitnessOptions, witness } from '@postern/witness'

/** Returns the default strategies for any Node.js program, in rank order: PCP, NAT-PMP, UPnP. */
export const defaultStrategies = (): readonly Strategy[] => [pcp(), natPmp(), upnp()]

/** The grammar of strategies in text form, for help texts. */
export const ladderGrammar =
  'any | none | pcp[:<gateway>] | nat-pmp[:<gateway>] | upnp[:<gateway>] | manual:<ip>:<port> | manual:<port> | stun:<host>[:<port>] | witness:<url> | ssh:<user>@<host>[:<port>] | bore:<host>, joined by commas'

const names = ['any', 'none', 'pcp', 'nat-pmp', 'upnp', 'manual', 'stun', 'witness', 'ssh', 'bore']

/**
 * Parses strategies from text, in rank order: `any`, `none`, `pcp`, `nat-pmp:192.168.1.1`, `upnp`,
 * `manual:<ip>:<port>`, `stun:<host>:<port>`, `witness:<url>`, `ssh:<user>@<host>:<port>`, `bore:<host>`, joined by commas. An IPv6 address before a port is in
 * brackets: `manual:[2001:db8::1]:8080`. A witness is named by its URL, `witness:https://witness.example.org`, or by its
 * address and port, `witness:203.0.113.9:4003`.
 *
 * Throws a TypeError that quotes the part that is invalid.
 *
 * @param options - for all witnesses; see `WitnessOptions` of `@postern/witness`
 */
export function parseLadder(
  text: string,
  options: Omit<WitnessOptions, 'servers'> = {}
): readonly Strategy<ServerHost>[] {
  const parts = partsOf(text)
  const isWitness = (part: string): boolean => part.startsWith('witness:')
  // All servers form one strategy, at the position of the first.
  const [first] = parts.filter(isWitness)
  if (first === undefined) return parsePlainLadder(text)
  if (parts.includes('')) throw new TypeError(nothingBesideComma(text))
  const at = parts.indexOf(first)
  const servers = parts.filter(isWitness).map((part) => part.slice('witness:'.length))
  const before = parts.slice(0, at).join()
  const after = parts
    .slice(at)
    .filter((part) => !isWitness(part))
    .join()
  if ([before, after].some((part) => partsOf(part).includes('none'))) throw new TypeError(noneStandsAlone)
  return [
    ...(before === '' ? [] : parsePlainLadder(before)),
    witness({ ...options, servers }),
    ...(after === '' ? [] : parsePlainLadder(after))
  ]
}

/** Longer than a ladder with the maximum number of servers. */
const maxTextLength = 8192

const noneStandsAlone = '"none" stands alone: it means that no strategy is used'

const nothingBesideComma = (text: string): string => `"${text}": there is no strategy before or after a comma`

function partsOf(text: string): readonly string[] {
  if (typeof text !== 'string')
    throw new TypeError(`parseLadder() takes text, such as 'pcp,upnp', and not ${String(text)}`)
  if (text.length > maxTextLength)
    throw new TypeError(`"${text.slice(0, 40)}…": strategies in text have at most ${maxTextLength} characters`)
  return text.split(',').map((part) => part.trim())
}

/**
 * Like {@link parseLadder}, for programs without a server of their own: throws a TypeError for a witness, which
 * proves something only with such a server.
 */
export function parsePlainLadder(text: string): readonly Strategy[] {
  const parts = partsOf(text)
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
    if (name === 'ssh' || name === 'bore') {
      if (rest === undefined || rest === '')
        throw new TypeError(
          `"${part}": name the other host, such as ${name === 'ssh' ? 'ssh:me@' : 'bore:'}vps.example.org`
        )
      return [name === 'ssh' ? ssh(sshFromText(rest)) : bore(boreFromText(rest))]
    }
    if (name === 'any' && rest === undefined) return defaultStrategies()
    if (name === 'none' && rest === undefined && parts.length === 1) return []
    if (part === '' && text.trim() !== '') throw new TypeError(nothingBesideComma(text))
    if (part === 'none') throw new TypeError(noneStandsAlone)
    if (name === 'witness' && rest === undefined)
      throw new TypeError(`"${part}": name the server, such as witness:203.0.113.9:4003`)
    if (name === 'witness')
      throw new TypeError(
        `"${part}": a witness proves that a server of this program is reached, and there is none here`
      )
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
