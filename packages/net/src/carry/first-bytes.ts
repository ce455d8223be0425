import type { Duplex } from 'node:stream'

/** Reads the first bytes of a stream and leaves the rest unread. Stops as soon as `isEnough` says so of the bytes that
 * have arrived, when the stream ends, or when the signal aborts. Resolves with what has arrived, which may be nothing;
 * undefined if the stream was cut. */
export function firstBytes(
  stream: Duplex,
  isEnough: (bytes: Buffer) => boolean,
  { signal }: { readonly signal: AbortSignal }
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let seen = Buffer.alloc(0)
    const look = (): void => {
      for (let chunk = next(stream); chunk !== undefined; chunk = next(stream)) seen = Buffer.concat([seen, chunk])
      // `readable` without bytes: the end. The caller sees it again.
      if (stream.readableEnded || isEnough(seen)) done(seen)
    }
    const ended = (): void => done(seen)
    const cut = (): void => done(undefined)
    const done = (bytes: Buffer | undefined): void => {
      stream.off('readable', look).off('end', ended).off('error', cut).off('close', cut)
      signal.removeEventListener('abort', ended)
      resolve(bytes)
    }
    stream.on('readable', look).once('end', ended).once('error', cut).once('close', cut)
    if (signal.aborted) ended()
    else signal.addEventListener('abort', ended, { once: true })
  })
}

function next(stream: Duplex): Buffer | undefined {
  const chunk: unknown = stream.read()
  return Buffer.isBuffer(chunk) ? chunk : undefined
}
