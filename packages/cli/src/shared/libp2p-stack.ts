import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr } from '@multiformats/multiaddr'
import { errorText, isDialable, printable } from '@postern/interface'
import type { Libp2pOptions } from 'libp2p'
import { boundedMuxer } from '../bounds/muxer.js'
import { fastNoise } from './fast-noise.js'
import { version } from './version.js'

/** The options of {@link stack}. */
export interface StackOptions {
  /** The maximum number of streams that a peer may open over one connection.
   * @default 128 */
  readonly maxInboundStreams?: number
  /** The receive window of a stream, in bytes; at least 256 KiB. libp2p resets a stream with more than 4 MiB of unread
   * data, which is less than the maximum window of yamux, so a slow reader would lose its stream.
   * @default 2 MiB */
  readonly maxStreamWindowBytes?: number
}

/** Returns the options that all libp2p nodes of this program share. */
export const stack = ({
  maxInboundStreams = 128,
  maxStreamWindowBytes = 2 * 1024 * 1024
}: StackOptions = {}): Pick<
  Libp2pOptions,
  'nodeInfo' | 'connectionEncrypters' | 'streamMuxers' | 'connectionGater'
> => ({
  // Not the name of js-libp2p: peers read the limits of js-libp2p as milliseconds, but this program sends seconds.
  nodeInfo: { name: 'postern', version: version() },
  connectionEncrypters: [fastNoise(noise())],
  streamMuxers: [
    boundedMuxer(yamux({ maxInboundStreams, streamOptions: { maxStreamWindowSize: maxStreamWindowBytes } }))
  ],
  connectionGater: { denyDialMultiaddr }
})

/** Refuses to dial an address that names a second place after its port. Peers may announce such addresses, and a
 * transport would connect to that place. */
export const denyDialMultiaddr = (address: Multiaddr): boolean => !isDialable(address.toString())

/** Returns the message of an error in one line; some messages of libp2p have several. */
export const reasonOf = (error: unknown): string => printable(textOf(error))

function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(textOf))].join('; ')
  }
  // libp2p may reject with an event, such as the close of a stream, while it waits for another one.
  if (error instanceof Event) return 'error' in error && error.error ? textOf(error.error) : 'the connection was closed'
  if (!(error instanceof Error)) return String(error)
  // libp2p rejects with an AbortError when its own time limit for a dial is over.
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'no answer in time'
  return errorText(error).split('\n')[0] ?? error.name
}

/** Returns why a node does not start, and what to do. libp2p reports the addresses on which it cannot listen only as
 * text. */
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
