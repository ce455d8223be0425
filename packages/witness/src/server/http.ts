import type { IncomingMessage, ServerResponse } from 'node:http'
import { addressPath, maxRequestBytes, mediaType, type RefusalName, verifyPath } from '../wire/messages.js'

/** Why a request is refused. */
export interface Refused {
  readonly error: RefusalName
  readonly message: string
  /** Only with `address-differs`: the address that the request came from. */
  readonly observed?: string
}

/** Whether a request only asks at which address the server sees its client. */
export const asksForAddress = ({ url = '' }: IncomingMessage): boolean => pathOf(url) === addressPath

const pathOf = (url: string): string => url.replace(/\?.*$/, '')

/** Returns why a request is refused before its body is read. */
export function whyNotRead(request: IncomingMessage): Refused | undefined {
  const { method, url = '', headers } = request
  const isShort = asksForAddress(request)
  if (!isShort && pathOf(url) !== verifyPath)
    return { error: 'not-found', message: `the paths are ${verifyPath} and ${addressPath}` }
  const wanted = isShort ? 'GET' : 'POST'
  if (method !== wanted) return { error: 'method-not-allowed', message: `the method of this path is ${wanted}` }
  // A page could have the address of its visitor dialled.
  if (headers.origin !== undefined) return { error: 'web-page', message: 'web pages are not answered' }
  if (isShort) return undefined
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== mediaType) return { error: 'media-type', message: `the media type is ${mediaType}` }
  return undefined
}

/** Resolves to the body of a request; to `gone` if the client closes the connection before its end. */
export function readBody(request: IncomingMessage): Promise<Uint8Array | 'too-large' | 'gone'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > maxRequestBytes) resolve('too-large')
      else chunks.push(chunk)
    })
    request.on('end', () => resolve(Buffer.concat(chunks)))
    request.on('close', () => resolve('gone'))
    request.on('error', () => resolve('gone'))
  })
}

/** Sends a reply with a JSON body. */
export function answer(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string | number> = {}
): void {
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(status, {
    'content-type': mediaType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers
  })
  response.end(text)
}
