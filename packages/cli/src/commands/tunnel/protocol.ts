import type { Stream } from '@libp2p/interface'
import { natError } from '@postern/interface'

/**
 * The protocol of a tunnel, with one stream for each TCP connection. The opening side sends one byte, its request; the
 * other side answers with one byte. If `connect` is `accepted`, the bytes of the TCP connection follow in both
 * directions, in records. The protocol cannot carry a host or a port.
 */
export const tunnelProtocol = '/postern/tunnel/1'

/** The requests: `ask` whether this peer is allowed, or `connect` a TCP connection. */
export const wishes = { ask: 0, connect: 1 } as const
/** The name of a request. */
export type Wish = keyof typeof wishes

/** The answers to a request. */
export const answers = { accepted: 0, 'not-allowed': 1, 'target-unreachable': 2, 'too-many': 3 } as const
/** The name of an answer. */
export type Answer = keyof typeof answers

/** Decodes a request. Throws `MALFORMED_REPLY`. */
export function decodeWish(byte: number): Wish {
  const found = (['ask', 'connect'] as const).find((each) => wishes[each] === byte)
  if (found === undefined) throw natError('MALFORMED_REPLY', `a tunnel does not begin with the byte ${byte}`)
  return found
}

/** Decodes an answer. Throws `MALFORMED_REPLY`. */
export function decodeAnswer(byte: number): Answer {
  const names = ['accepted', 'not-allowed', 'target-unreachable', 'too-many'] as const
  const found = names.find((each) => answers[each] === byte)
  if (found === undefined) throw natError('MALFORMED_REPLY', `a tunnel is not answered with the byte ${byte}`)
  return found
}

/**
 * Resolves to the first byte of a stream, and pauses the stream. Data after the byte stays in the stream.
 *
 * Rejects with `MALFORMED_REPLY` if the stream ends before, or with the signal's reason.
 */
export function firstByte(stream: Stream, { signal }: { readonly signal: AbortSignal }): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      stream.removeEventListener('message', read)
      stream.removeEventListener('end', ended)
      stream.removeEventListener('close', ended)
      signal.removeEventListener('abort', aborted)
    }
    const read = ({ data }: { readonly data: { subarray(): Uint8Array } }): void => {
      done()
      const bytes = data.subarray()
      stream.pause()
      if (bytes.length > 1) stream.unshift(bytes.subarray(1))
      resolve(bytes[0] ?? -1)
    }
    const ended = (): void => {
      done()
      reject(natError('MALFORMED_REPLY', 'the tunnel ended before it began'))
    }
    const aborted = (): void => {
      done()
      reject(signal.reason)
    }
    if (signal.aborted) return aborted()
    if (stream.status !== 'open' && stream.readBufferLength === 0) return ended()
    signal.addEventListener('abort', aborted, { once: true })
    stream.addEventListener('end', ended)
    stream.addEventListener('close', ended)
    stream.addEventListener('message', read)
  })
}
