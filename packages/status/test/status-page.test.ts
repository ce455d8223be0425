import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { recordEvents, type StatusPageOptions, statusPage } from '../src/index.js'
import { enter, follow, get } from './support/browser.js'
import { emptyReport, type Scripted, scriptedSource } from './support/source.js'

async function open(options: StatusPageOptions = {}, source = scriptedSource()) {
  const clock = virtualClock()
  const page = await statusPage(source, { clock, ...options })
  onTestFinished(() => page.close())
  return { page, source, clock }
}

const strategyLine = (name: string) =>
  ({ name, kind: 'mapper', rank: 0, state: 'active', tookMs: 5, reason: null }) as const
const hear = (source: Scripted, count: number): void => {
  for (let index = 0; index < count; index++) source.fire('strategy', strategyLine(`s${index}`))
}

describe('the address of the page', () => {
  it('the page is shown to the browser that opens the address, which may reload it', async () => {
    const { page } = await open({ title: 'my <server>' })
    const first = await get(page.url)
    expect(first.status).toBe(200)
    expect(first.text).toContain('<title>my &#60;server&#62;</title>')
    const { page: address, cookie } = await enter(page.url)
    expect((await get(address, { cookie })).status).toBe(200)
    expect((await get(`${address}page.js`, { cookie })).headers['content-type']).toBe('text/javascript; charset=utf-8')
    expect((await get(`${address}page.css`, { cookie })).status).toBe(200)
  })

  it('a token lets in one browser, and the next one gets another', async () => {
    const told: string[] = []
    const { page } = await open({ opened: (url) => told.push(url) })
    const { url } = page
    const browser = await enter(url)
    expect((await get(url)).status).toBe(403)
    expect((await get(url, { cookie: browser.cookie })).status).toBe(200)
    expect(page.url).not.toBe(url)
    expect(told).toEqual([page.url])
    const other = await enter(page.url)
    expect(other.cookie).not.toBe(browser.cookie)
    for (const { page: address, cookie } of [browser, other]) expect((await get(address, { cookie })).status).toBe(200)
  })

  it('the address of the open page does not let in another browser', async () => {
    const { page } = await open()
    const { page: address, cookie } = await enter(page.url)
    for (const path of ['', 'events', 'page.js']) {
      expect((await get(`${address}${path}`)).status).toBe(403)
      expect((await get(`${address}${path}`, { cookie: `${cookie}0` })).status).toBe(403)
    }
  })

  it('the cookie is kept from scripts, from other sites, and from other servers on 127.0.0.1', async () => {
    const { page } = await open()
    const { headers, text } = await get(page.url)
    const folder = /data-live="(\/[\w-]{22}\/)"/.exec(text)?.[1]
    expect(headers['set-cookie']?.[0]).toMatch(
      new RegExp(`^postern-status=[\\w-]{22}; Path=${folder}; HttpOnly; SameSite=Strict$`)
    )
  })

  it('a wrong token is refused, and does not use up the right one', async () => {
    const { page } = await open()
    const { origin, pathname, search } = new URL(page.url)
    for (const path of [
      '/',
      '/?token=',
      '/?token=x',
      `/?token=${'0'.repeat(22)}`,
      '/?token=%00',
      search,
      `/x${search}`
    ])
      expect((await get(`${origin}${path}`)).status).toBe(403)
    for (const query of [
      '',
      '?token=',
      '?token=x',
      `?token=${'0'.repeat(22)}`,
      '?token=%00',
      `${search}0`,
      `?${search}`
    ])
      expect((await get(`${origin}${pathname}${query}`)).status).toBe(403)
    expect((await get(page.url)).status).toBe(200)
  })

  it('the seventeenth browser shuts out the first', async () => {
    const { page } = await open()
    const browsers = []
    for (let index = 0; index < 17; index++) browsers.push(await enter(page.url))
    const statuses = await Promise.all(
      browsers.map(async ({ page: address, cookie }) => (await get(address, { cookie })).status)
    )
    expect(statuses).toEqual([403, ...Array.from({ length: 16 }, () => 200)])
  })
})

describe('requests of others', () => {
  it.each([{ host: 'attacker.example' }, { host: 'localhost.attacker.example' }, { host: '192.168.1.2' }])(
    'a request with Host %j is refused, with the token or the cookie',
    async ({ host }) => {
      const { page } = await open()
      const { port } = new URL(page.url)
      const named = { host: `${host}:${port}` }
      expect((await get(page.url, named)).status).toBe(403)
      const { page: address, cookie } = await enter(page.url)
      expect((await get(address, { ...named, cookie })).status).toBe(403)
      expect((await get(`${address}events`, { ...named, cookie })).status).toBe(403)
    }
  )

  it.each([
    { origin: 'http://attacker.example' },
    { origin: 'http://127.0.0.1:1' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' }
  ])('a page of another site with %j is refused, even with the cookie', async (headers) => {
    const { page } = await open()
    const { page: address, cookie } = await enter(page.url)
    expect((await get(`${address}events`, { ...headers, cookie })).status).toBe(403)
    expect((await get(address, { ...headers, cookie })).status).toBe(403)
    expect((await get(`${address}?token=x`, { ...headers, cookie })).status).toBe(403)
  })

  it('the address may be opened by a link of another page, a terminal in a browser for example', async () => {
    const { page } = await open()
    expect((await get(page.url, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).status).toBe(200)
  })

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD'])('%s is refused', async (method) => {
    const { page } = await open()
    expect((await get(page.url, {}, method)).status).toBe(405)
    expect((await get(page.url)).status).toBe(200)
  })

  it('no page may embed the page, and it loads nothing from other hosts', async () => {
    const { page } = await open()
    const { headers } = await get(page.url)
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin'
    })
    const policy = String(headers['content-security-policy'])
    for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"])
      expect(policy.split('; ')).toContain(part)
    expect(policy).not.toMatch(/unsafe|http|\*/)
  })
})

describe('the events of the page', () => {
  it('a page gets the report and the events from before it was opened', async () => {
    const { page, source } = await open({ title: 'server' })
    hear(source, 2)
    const stream = await follow(await enter(page.url))
    const first = await stream.next()
    expect(first).toMatchObject({ title: 'server', report: emptyReport })
    expect(first.events).toEqual([
      { seq: 1, at: expect.any(String), name: 'strategy', detail: strategyLine('s0') },
      { seq: 2, at: expect.any(String), name: 'strategy', detail: strategyLine('s1') }
    ])
  })

  it('the events of one interval are one message', async () => {
    const { page, source, clock } = await open()
    const stream = await follow(await enter(page.url))
    await stream.next()
    hear(source, 40)
    source.shown = { ...emptyReport, verdict: 'public' }
    source.fire('verdict', source.shown)
    const asked = source.asked
    await clock.advance(200)
    const { events, report } = await stream.next()
    expect(report.verdict).toBe('public')
    expect(events).toHaveLength(41)
    expect(events[40]).toMatchObject({ seq: 41, name: 'verdict', detail: { verdict: 'public', cause: null } })
    expect(source.asked - asked).toBe(1)
    expect(stream.waiting).toEqual([])
  })

  it('200 events a second are at most five messages a second, for all pages together one report each', async () => {
    const { page, source, clock } = await open()
    const streams = await Promise.all([follow(await enter(page.url)), follow(await enter(page.url))])
    for (const stream of streams) await stream.next()
    const asked = source.asked
    for (let tick = 0; tick < 200; tick++) {
      hear(source, 1)
      await clock.advance(5)
    }
    await clock.advance(200)
    expect(source.asked - asked).toBeLessThanOrEqual(6)
    for (const stream of streams) {
      let seen = 0
      let messages = 0
      while (seen < 200) {
        seen += (await stream.next()).events.length
        messages++
      }
      expect(messages).toBeLessThanOrEqual(6)
    }
  })

  it('the log keeps the latest 500 events', async () => {
    const { page, source } = await open()
    hear(source, 700)
    const { events } = await (await follow(await enter(page.url))).next()
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 500 }, (_, index) => index + 201))
  })

  it('a page that does not read is sent nothing more until it reads, and then what it has missed', async () => {
    const { page, source, clock } = await open()
    const big = { ...emptyReport, advice: ['x'.repeat(1_000_000)] }
    const stream = await follow(await enter(page.url))
    await stream.next()
    stream.pause()
    for (let tick = 0; tick < 100; tick++) {
      source.shown = { ...big, advice: [...big.advice, String(tick)] }
      hear(source, 1)
      await clock.advance(200)
    }
    stream.resume()
    let messages = 0
    let last = 0
    while (last < 100) {
      const { events } = await stream.next()
      last = events.at(-1)?.seq ?? last
      messages++
      await clock.advance(200)
    }
    expect(messages).toBeLessThan(50)
  })

  it('without an event, a change of the report is sent within five seconds, and nothing otherwise', async () => {
    const { page, source, clock } = await open()
    const stream = await follow(await enter(page.url))
    await stream.next()
    await clock.advance(20_000)
    source.shown = { ...emptyReport, cause: 'no-route' }
    await clock.advance(5000)
    expect((await stream.next()).report.cause).toBe('no-route')
    expect(stream.waiting).toEqual([])
  })

  it('nothing is asked of the source while no page is open', async () => {
    const { page, source, clock } = await open()
    expect(source.asked).toBe(0)
    hear(source, 10)
    await clock.advance(60_000)
    expect(source.asked).toBe(0)
    const stream = await follow(await enter(page.url))
    await stream.next()
    expect(source.asked).toBe(1)
  })

  it('a source that fails ends the pages, and not the program', async () => {
    const { page, source, clock } = await open()
    const browser = await enter(page.url)
    const stream = await follow(browser)
    await stream.next()
    source.report = () => {
      throw new Error('broken')
    }
    hear(source, 1)
    await clock.advance(200)
    await stream.ended
    expect((await get(`${browser.page}events`, { cookie: browser.cookie })).status).toBe(503)
  })

  it('the ninth open page is refused', async () => {
    const { page } = await open()
    const browser = await enter(page.url)
    const streams = []
    for (let index = 0; index < 9; index++) streams.push(await follow(browser))
    expect(streams.map(({ status }) => status)).toEqual([...Array.from({ length: 8 }, () => 200), 503])
  })
})

describe('the life of the page', () => {
  it('close ends the connections and removes the listeners, and may be called twice', async () => {
    const { page, source } = await open()
    const stream = await follow(await enter(page.url))
    const { url } = page
    await page.close()
    await page[Symbol.asyncDispose]()
    await stream.ended
    expect(source.listeners).toBe(0)
    await expect(get(url)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('a record that is disposed removes its listeners', () => {
    const source = scriptedSource()
    const record = recordEvents(source)
    expect(source.listeners).toBeGreaterThan(0)
    record[Symbol.dispose]()
    expect(source.listeners).toBe(0)
  })

  it('a port that is taken rejects, and leaves no listener', async () => {
    const { page } = await open()
    const source = scriptedSource()
    await expect(statusPage(source, { port: Number(new URL(page.url).port) })).rejects.toMatchObject({
      code: 'EADDRINUSE'
    })
    expect(source.listeners).toBe(0)
  })

  it.each([
    [undefined, {}],
    [{ report: () => emptyReport }, {}],
    [scriptedSource(), { port: -1 }],
    [scriptedSource(), { port: 70_000 }],
    [scriptedSource(), { port: 'x' }],
    [scriptedSource(), { ports: 1 }],
    [scriptedSource(), { title: 1 }]
  ])('a wrong source or option is a TypeError: %#', async (source, options) => {
    await expect(statusPage(source as never, options as never)).rejects.toBeInstanceOf(TypeError)
  })

  it('unref lets the process end, and without it the page keeps the process alive', () => {
    const run = (unref: string) =>
      spawnSync(process.execPath, [join(import.meta.dirname, 'support', 'served.mjs'), unref], {
        encoding: 'utf8',
        timeout: 20_000
      })
    expect(run('unref').stdout).toBe('served\nended\n')
    expect(run('ref').stdout).toBe('served\nheld by TCPServerWrap\n')
  })
})
