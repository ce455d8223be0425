import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { CandidateReport, Report } from '@postern/core'
import { type CallOptions, parseMultiaddr } from '@postern/interface'

/** How a browser speaks to a service. */
export type Scheme = 'http' | 'https'

/** The time limit for the answer of the service, in ms. */
const answerMs = 1000

/** Resolves to how the service at a TCP port of this host speaks HTTP; undefined if it does not. Asks for one page, on
 * loopback only. */
export async function schemeOf(port: number, { signal }: CallOptions): Promise<Scheme | undefined> {
  for (const host of ['127.0.0.1', '::1'])
    for (const scheme of ['http', 'https'] as const) if (await answers(scheme, { host, port, signal })) return scheme
  return undefined
}

function answers(scheme: Scheme, where: Pick<RequestOptions, 'host' | 'port' | 'signal'>): Promise<boolean> {
  return new Promise((resolve) => {
    const options = {
      ...where,
      method: 'HEAD',
      path: '/',
      agent: false,
      timeout: answerMs,
      // The name in the certificate is that of the external address, if it is any.
      rejectUnauthorized: false
    } as const
    const request = scheme === 'http' ? httpRequest(options) : httpsRequest(options)
    request.once('response', (response) => {
      response.destroy()
      // A TLS server answers a plain request with 400.
      resolve(scheme === 'https' || response.statusCode !== 400)
    })
    request.once('timeout', () => request.destroy())
    request.on('error', () => resolve(false))
    request.once('close', () => resolve(false))
    request.end()
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
