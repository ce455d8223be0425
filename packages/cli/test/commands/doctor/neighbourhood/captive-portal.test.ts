import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcp } from 'node:net'
import { systemClock } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  checkPortal,
  parsePortalUrl,
  portalAdvice,
  portalLines
} from '../../../../src/commands/doctor/neighbourhood/captive-portal.js'

const never = { signal: new AbortController().signal }

/** Serves on loopback until the test ends, and returns the URL of the page. */
async function page(answer: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<URL> {
  const server = createServer((request, response) => void answer(request, response))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  return new URL(`http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}/generate_204`)
}
const check = async (url: URL): Promise<readonly unknown[]> => {
  const { state, location } = await checkPortal(url, { clock: systemClock }, never)
  return [state, location]
}
const redirect = (location: string, status = 302): Promise<URL> =>
  page((_, response) => response.writeHead(status, { location }).end())
const body = (text: string, status = 200): Promise<URL> => page((_, response) => response.writeHead(status).end(text))

describe('the page that shows a captive portal', () => {
  it('status 204 shows that there is none', async () => {
    expect(await check(await body('', 204))).toEqual(['none', null])
  })

  it.each([
    'success\n',
    '<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>',
    'Microsoft Connect Test',
    'NetworkManager is online\n'
  ])('the text of a well-known page shows that there is none: %j', async (text) => {
    expect(await check(await body(text))).toEqual(['none', null])
  })

  it.each(['<html>Welcome to the hotel</html>', '', 'success story', `${' '.repeat(2000)}success`])(
    'another page is a portal: %j',
    async (text) => expect(await check(await body(text))).toEqual(['found', null])
  )

  it('a page of megabytes is a portal, and is not read', async () => {
    expect(await check(await body('x'.repeat(1024 * 1024)))).toEqual(['found', null])
  })

  it('status 511 is a portal (RFC 6585 §6)', async () => {
    expect(await check(await body('log in', 511))).toEqual(['found', null])
  })

  it.each([
    ['http://portal.example/login?mac=00-00-5e-00-53-01&ip=192.168.1.2#top', 'http://portal.example/login'],
    ['https://user:secret@portal.example:8443/a', 'https://portal.example:8443/a'],
    ['https://portal.example', 'https://portal.example/']
  ])('a redirect is a portal, and is not followed: %s', async (location, expected) => {
    expect(await check(await redirect(location))).toEqual(['found', expected])
  })

  it('a relative redirect leads to the server itself', async () => {
    const url = await redirect('/login')
    expect(await check(url)).toEqual(['found', `${url.origin}/login`])
  })

  it('the location is short, and has no control characters', async () => {
    const [, location] = await check(await redirect(`http://portal.example/${'a'.repeat(5000)}`))
    expect(location).toHaveLength(200)
    const [, escaped] = await check(await redirect('http://portal.example/\u009bevil'))
    expect(escaped).toMatch(/^[\x20-\x7e]+$/)
  })

  it('a redirect to the same server over TLS, and one to nowhere, show nothing', async () => {
    expect(await check(await redirect('https://127.0.0.1/generate_204'))).toEqual(['unknown', null])
    for (const location of ['javascript:alert(1)', 'http://[', ''])
      expect(await check(await redirect(location))).toEqual(['unknown', null])
    expect(await check(await page((_, response) => response.writeHead(302).end()))).toEqual(['unknown', null])
  })

  it.each([404, 500, 503, 403])('status %i shows nothing', async (status) => {
    expect(await check(await body('sorry', status))).toEqual(['unknown', null])
  })

  it('a closed port, and a server that speaks no HTTP, show nothing', async () => {
    const server = createTcp((socket) =>
      socket.on('error', () => undefined).end('SSH-2.0-OpenSSH\r\n', () => socket.destroy())
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const bound = server.address()
    const url = new URL(`http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}/`)
    expect(await check(url)).toEqual(['unknown', null])
    await new Promise((resolve) => server.close(resolve))
    expect(await check(url)).toEqual(['unknown', null])
  })

  it('a server that never answers shows nothing after 5 s', async () => {
    const clock = virtualClock()
    const asked = Promise.withResolvers<void>()
    const url = await page(() => asked.resolve())
    const checking = checkPortal(url, { clock }, never)
    await asked.promise
    await clock.advance(5000)
    expect(await checking).toEqual({ url: url.href, state: 'unknown', location: null })
  })

  it('an interruption ends the request', async () => {
    const controller = new AbortController()
    const asked = Promise.withResolvers<void>()
    const url = await page(() => asked.resolve())
    const checking = checkPortal(url, { clock: systemClock }, controller)
    await asked.promise
    controller.abort(new Error('interrupted'))
    await expect(checking).rejects.toThrow('interrupted')
  })
})

describe('--captive-portal', () => {
  it('takes http only, without a password', () => {
    expect(parsePortalUrl('http://connectivity.example/generate_204').host).toBe('connectivity.example')
    for (const text of ['https://a.example/', 'a.example', '', 'ftp://a.example/', 'http://a:b@a.example/', 'http://'])
      expect(() => parsePortalUrl(text)).toThrow(TypeError)
    expect(() => parsePortalUrl(`http://a.example/${'a'.repeat(2000)}`)).toThrow('give the URL of a page')
  })

  it('a line and advice are given for a portal only', () => {
    const url = 'http://a.example/'
    const none = { url, state: 'none', location: null } as const
    expect([...portalLines(none), ...portalAdvice(none)]).toEqual([])
    expect(portalLines({ ...none, state: 'unknown' })).toEqual([`Captive portal: not known, ${url} cannot be read`])
    expect(portalAdvice({ ...none, state: 'unknown' })).toEqual([])
    expect(portalLines({ ...none, state: 'found' })).toEqual([`Captive portal: another page answers for ${url}`])
    const found = { url, state: 'found', location: 'http://b.example/login' } as const
    expect(portalLines(found)).toEqual([`Captive portal: ${url} leads to http://b.example/login`])
    expect(portalAdvice(found)).toEqual([expect.stringContaining('with a browser at http://b.example/login')])
  })
})
