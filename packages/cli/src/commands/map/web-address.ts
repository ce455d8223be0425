import { connect, type Socket } from 'node:net'
import type { CandidateReport, Report } from '@postern/core'
import { parseMultiaddr } from '@postern/interface'

/** How a browser speaks to a service. */
export type Scheme = 'http' | 'https'

/** The time limit for the answer of the service, in ms. */
const answerMs = 1000
/** How long a service that did not answer may take to end the connection, in ms. */
const lingerMs = 1000

/** Resolves to how the service at a TCP port of this host speaks HTTP; `none` if it does not, undefined if nothing listens. Asks for one page, on
 * loopback only. */
export async function schemeOf(port: number): Promise<Scheme | 'none' | undefined> {
  for (const host of ['127.0.0.1', '::1']) {
    const plain = await firstBytes(connect({ host, port }))
    if (plain === 'refused') continue
    if (isHttp(plain) && !isBadRequest(plain)) return 'http'
    // A TLS server closes the connection, or answers with an alert or with 400. Others are not sent a TLS handshake.
    if (plain !== '' && !plain.startsWith(tlsAlert) && !isBadRequest(plain)) return 'none'
    // The name in the certificate is that of the external address, if it is any.
    const { connect: connectTls } = await import('node:tls')
    const secured = await firstBytes(connectTls({ host, port, rejectUnauthorized: false }), 'secureConnect')
    return isHttp(secured) ? 'https' : 'none'
  }
  return undefined
}

const tlsAlert = '\u0015'

const isHttp = (text: string): boolean => /^HTTP\/\d/.test(text)

const isBadRequest = (text: string): boolean => /^HTTP\/\d\.\d 400 /.test(text)

/** Asks for a page. Resolves to the first bytes of the answer once the connection has ended: `refused` if nothing listens,
 * empty without an answer. A connection that is reset ends some servers, so everything that they send is read. */
function firstBytes(socket: Socket, ready: 'connect' | 'secureConnect' = 'connect'): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.setTimeout(answerMs, () => {
      socket.end()
      socket.setTimeout(lingerMs, () => socket.destroy())
    })
    socket.once(ready, () => socket.write('HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n'))
    socket.on('data', (bytes: Buffer) => {
      if (text === '') text = bytes.toString('latin1', 0, 64)
      socket.end()
    })
    socket.on('error', (error) => {
      if (text === '' && 'code' in error && error.code === 'ECONNREFUSED') text = 'refused'
    })
    socket.on('close', () => resolve(text))
  })
}

const ranks: Readonly<Record<CandidateReport['state'], number>> = { verified: 0, consistent: 1, claimed: 9, refuted: 9 }

/** Returns the address to paste into a browser: one that witnesses have reached if there is any, else a direct one
 * before a relayed one. Undefined if no address is fit to be announced. */
export function webAddress({ candidates }: Report, scheme: Scheme): string | undefined {
  const [best] = candidates
    .filter(({ state, type }) => (state === 'verified' || state === 'consistent') && type !== 'local')
    .toSorted((one, other) => rankOf(one) - rankOf(other))
  const parsed = best === undefined ? undefined : parseMultiaddr(best.address)
  if (parsed?.protocol !== 'tcp') return undefined
  const host = parsed.family === 6 ? `[${parsed.address}]` : parsed.address
  const isUsual = parsed.port === (scheme === 'http' ? 80 : 443)
  return `${scheme}://${host}${isUsual ? '' : `:${parsed.port}`}/`
}

const rankOf = ({ state, type }: CandidateReport): number => ranks[state] * 2 + (type === 'relayed' ? 1 : 0)
