import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Multiaddr } from '@multiformats/multiaddr'
import { errorText, isDialable, printable } from '@postern/interface'
import type { Libp2pOptions } from 'libp2p'
import { boundedMuxer } from './bounded-muxer.js'
import { version } from './version.js'

export interface StackOptions {
  /** Streams that a peer may have open towards us over one connection.
   * @default 128 */
  readonly maxInboundStreams?: number
  /** What a peer may send on one stream before it is read, in bytes; 256 KiB at least. libp2p resets a stream on which more
   * than 4 MiB wait unread, which is less than the largest window of yamux: a slow reader would lose its stream.
   * @default 2 MiB */
  readonly maxStreamWindowBytes?: number
}

/** What every node of this program has in common. */
export const stack = ({
  maxInboundStreams = 128,
  maxStreamWindowBytes = 2 * 1024 * 1024
}: StackOptions = {}): Pick<
  Libp2pOptions,
  'nodeInfo' | 'connectionEncrypters' | 'streamMuxers' | 'connectionGater'
> => ({
  // Not the name of js-libp2p: others take limits from those for milliseconds, where this program tells seconds.
  nodeInfo: { name: 'postern', version: version() },
  connectionEncrypters: [noise()],
  streamMuxers: [
    boundedMuxer(yamux({ maxInboundStreams, streamOptions: { maxStreamWindowSize: maxStreamWindowBytes } }))
  ],
  connectionGater: { denyDialMultiaddr }
})

/** Refuses to dial an address that names a second place behind its port. Peers tell such addresses, a peer store keeps
 * them, and a transport would connect to that place. */
export const denyDialMultiaddr = (address: Multiaddr): boolean => !isDialable(address.toString())

/** What went wrong, in a line. libp2p says some of it in many. */
export const reasonOf = (error: unknown): string => printable(textOf(error))

function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(textOf))].join('; ')
  }
  // libp2p rejects with the event that it waited for in vain, such as the end of a stream.
  if (error instanceof Event) return 'error' in error && error.error ? textOf(error.error) : 'the connection was closed'
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return 'no answer in time'
  return errorText(error).split('\n')[0] ?? error.name
}

/** Why a node does not start, and what to do. libp2p tells of addresses that cannot be listened on in text only. */
export function listenFailure(error: unknown): string {
  const text = errorText(error)
  const lines = text.split('\n').flatMap((each): readonly string[] => {
    const failure = /^\s*(\/\S+): (?:\w*Error: )?listen (E[A-Z]+)/.exec(each)
    return failure === null ? [] : [`cannot listen on ${failure[1]}: ${adviceFor(failure[2] ?? '')}`]
  })
  if (lines.length > 0) return lines.join('\n  ')
  const taken = /^listen (E[A-Z]+): .* (\S+)$/.exec(text)
  return taken === null ? reasonOf(error) : `cannot listen on ${taken[2]}: ${adviceFor(taken[1] ?? '')}`
}

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has the port. End that one, or choose another port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'ports below 1024 need more rights. Choose another port'
}

const adviceFor = (code: string): string => advice[code] ?? code
