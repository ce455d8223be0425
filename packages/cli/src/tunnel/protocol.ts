import type { Stream } from '@libp2p/interface'
import { natError } from '@postern/interface'

/**
 * One stream a TCP connection. Who opens it writes one byte, what it wants; the other side answers with one, and after
 * `accepted` to `connect` the bytes of the TCP connection follow both ways, in records. There is no place for a host or a port.
 */
export const tunnelProtocol = '/postern/tunnel/1'

/** What a stream is opened for: only to be told whether one may, or for a TCP connection. */
export const wishes = { ask: 0, connect: 1 } as const
export type Wish = keyof typeof wishes

/** How a stream is answered. */
export const answers = { accepted: 0, 'not-allowed': 1, 'target-unreachable': 2, 'too-many': 3 } as const
export type Answer = keyof typeof answers

export function decodeWish(byte: number): Wish {
  const found = (['ask', 'connect'] as const).find((each) => wishes[each] === byte)
  if (found === undefined) throw natError('MALFORMED_REPLY', `a tunnel does not begin with the byte ${byte}`)
  return found
}

export function decodeAnswer(byte: number): Answer {
  const names = ['accepted', 'not-allowed', 'target-unreachable', 'too-many'] as const
  const found = names.find((each) => answers[each] === byte)
  if (found === undefined) throw natError('MALFORMED_REPLY', `a tunnel is not answered with the byte ${byte}`)
  return found
}

/**
 * The first byte of a stream; what came with it stays to be read. Afterwards the stream is paused.
 *
 * Rejects with a NatError when the stream ends before (`MALFORMED_REPLY`), or with the signal's reason.
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
