import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Report } from '@postern/core'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { reportHtml, statusPage } from '../src/index.js'
import { readAssets } from '../src/server/assets.js'
import { browser, openTab, type Tab, violationsIn, why } from './support/in-browser.js'
import { situations } from './support/situations.mjs'
import { emptyReport, scriptedSource } from './support/source.js'

it('the page is 60 kB at most, compressed', async () => {
  const { script, style } = await readAssets()
  expect(gzipSync(script).length + gzipSync(style).length).toBeLessThanOrEqual(60_000)
})

async function tempFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'postern-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Opens a saved page. */
async function openSaved(tab: Tab, { report, title, at, events }: (typeof situations)['verified']): Promise<void> {
  const file = join(await tempFolder(), 'report.html')
  await writeFile(file, await reportHtml(report, { title, at: new Date(at), events }))
  await tab.open(pathToFileURL(file).href)
  await tab.until(`document.querySelector('.verdict') !== null`)
}

/** Serves a page, and opens it. */
async function openLive(tab: Tab, report: Report = situations.verified.report) {
  const clock = virtualClock()
  const source = scriptedSource(report)
  const page = await statusPage(source, { clock, title: 'My server' })
  onTestFinished(() => page.close())
  await tab.open(page.url)
  await tab.until(`document.querySelector('.verdict') !== null`)
  return { clock, source, page }
}

const textOf = (selector: string): string => `document.querySelector(${JSON.stringify(selector)})?.textContent ?? ''`
const strategyLine = (name: string) =>
  ({ name, kind: 'mapper', rank: 0, state: 'failed', tookMs: 5, reason: { code: 'NO_REPLY', message: name } }) as const

describe.skipIf(!browser.ok)(`the page in Chromium${why}`, { timeout: 60_000 }, () => {
  const shapes = Object.keys(situations).flatMap((name) =>
    (
      [
        [1100, 'light'],
        [1100, 'dark'],
        [360, 'light']
      ] as const
    ).map(([width, scheme]) => [name, width, scheme] as const)
  )

  it.each(shapes)('axe-core finds nothing in %s, %i pixels wide, %s', async (name, width, scheme) => {
    const tab = await openTab()
    await tab.resize(width, 800, scheme, 'reduce')
    await openSaved(tab, situations[name as keyof typeof situations])
    expect(await violationsIn(tab)).toEqual([])
    expect(await tab.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    expect(tab.complaints).toEqual([])
    expect(tab.requests.filter((url) => !/^(?:file|data):/.test(url))).toEqual([])
  })

  it('the live page asks its own server only, and the browser has no complaint about its policy', async () => {
    const tab = await openTab()
    const { page } = await openLive(tab)
    const { origin, pathname } = new URL(page.url)
    expect(await tab.evaluate('location.href')).toBe(`${origin}${pathname}`)
    expect(await violationsIn(tab)).toEqual([])
    expect(tab.complaints).toEqual([])
    const others = tab.requests.filter((url) => !url.startsWith(`${origin}${pathname}`) && !url.startsWith('data:'))
    expect(others).toEqual([])
  })

  it('the user may reload the page and open its address twice, and another browser is refused', async () => {
    const tab = await openTab()
    const { page, clock } = await openLive(tab)
    const address = String(await tab.evaluate('location.href'))
    for (const url of [address, `${address}?token=x`, page.url]) {
      await tab.open(url)
      await tab.until(`document.querySelector('.verdict.public') !== null`)
    }
    const other = await openTab()
    await other.open(address)
    expect(await other.evaluate('document.body.innerText')).toMatch(/^This address lets one browser in, once\./)
    await clock.advance(0)
  })

  it('what the program tells later is shown, and that it has ended', async () => {
    const tab = await openTab()
    const { source, clock, page } = await openLive(tab, { ...emptyReport, gateway: situations.verified.report.gateway })
    expect(await tab.evaluate(textOf('.verdict .line'))).toContain('Not known yet')
    source.shown = situations['carrier-nat'].report
    source.fire('verdict', source.shown)
    await clock.advance(200)
    await tab.until(`document.querySelector('.place.broken')?.textContent.includes('Provider')`)
    expect(await tab.evaluate(textOf('.broken-text'))).toBe('Stops at: Provider')
    await page.close()
    await tab.until(`document.querySelector('header').textContent.includes('has ended')`)
  })

  it('a rung is in doubt while its router does not answer, and no longer when it does', async () => {
    const tab = await openTab()
    const { source, clock } = await openLive(tab)
    const rung = `document.querySelector('.rung[data-strategy="pcp"]')`
    const { report } = situations.verified
    const tell = async (reason: Report['strategies'][number]['reason']): Promise<void> => {
      const strategies = report.strategies.map((each) => (each.name === 'pcp' ? { ...each, reason } : each))
      source.shown = { ...report, strategies }
      const [first] = strategies
      if (first !== undefined) source.fire('strategy', first)
      await clock.advance(200)
    }
    expect(await tab.evaluate(`${rung}.className`)).toBe('rung active')
    await tell({ code: 'REFUSED', message: 'the port is closed' })
    await tab.until(`${rung}.className === 'rung doubted'`)
    expect(await tab.evaluate(`${rung}.textContent`)).toContain('in doubt: no answer now')
    await tell(null)
    await tab.until(`${rung}.className === 'rung active'`)
  })

  it('text of routers and peers is never HTML', async () => {
    const tab = await openTab()
    const hostile = `<img src=x onerror="window.hit=1"></script><script>window.hit=2</script><svg onload=window.hit=3>`
    const text = JSON.stringify(situations.relayed).replaceAll(
      'the router does not answer',
      JSON.stringify(hostile).slice(1, -1)
    )
    const each = JSON.parse(text) as (typeof situations)['relayed']
    const report = {
      ...each.report,
      advice: [hostile, `javascript:alert(1)`],
      gateway: { address: hostile, interface: hostile, description: hostile }
    }
    await openSaved(tab, { ...each, title: hostile, report })
    expect(await tab.evaluate('document.querySelectorAll("img, a, iframe, main script").length')).toBe(0)
    expect(await tab.evaluate('window.hit')).toBeUndefined()
    expect(await tab.evaluate(textOf('.advice li'))).toBe(hostile)
    const live = await openTab()
    const { source, clock } = await openLive(live)
    source.shown = report
    await clock.advance(5000)
    await live.until(`document.querySelector('.advice li')?.textContent.includes('onerror')`)
    expect(await live.evaluate('document.querySelectorAll("img, a, iframe").length')).toBe(0)
    expect(live.complaints).toEqual([])
  })

  it('200 events a second do not freeze the page, and are not read out', async () => {
    const tab = await openTab()
    const { source, clock } = await openLive(tab)
    await tab.evaluate(`{
      window.slow = []
      window.spoken = 0
      window.painted = 0
      new PerformanceObserver((list) => window.slow.push(...list.getEntries().map(({ duration }) => duration))).observe({ entryTypes: ['longtask'] })
      const observer = new MutationObserver((records) => { window.spoken += records.length })
      for (const each of document.querySelectorAll('[aria-live], [role=status]')) observer.observe(each, { subtree: true, childList: true, characterData: true })
    }`)
    for (let tick = 1; tick <= 50; tick++) {
      for (let index = 0; index < 40; index++) source.fire('strategy', strategyLine(`event ${tick * 40 + index}`))
      await clock.advance(200)
      // A page that hangs does not answer.
      await tab.until(`document.querySelector('.timeline li')?.dataset.seq === '${tick * 40}'`)
    }
    expect(await tab.evaluate(`document.querySelectorAll('.timeline li').length`)).toBe(100)
    expect(await tab.evaluate('window.spoken')).toBe(0)
    const slow = (await tab.evaluate('window.slow')) as readonly number[]
    expect(Math.max(0, ...slow)).toBeLessThan(1000)
  })

  it('the page is used with the keyboard alone', async () => {
    const tab = await openTab()
    await openSaved(tab, situations.relayed)
    const folder = await tempFolder()
    await tab.downloadTo(folder)
    const focused = `document.activeElement.closest('label')?.textContent.trim() ?? document.activeElement.textContent`
    const stops: string[] = []
    for (let count = 0; count < 7; count++) {
      await tab.press('Tab')
      stops.push(String(await tab.evaluate(focused)))
      const outline = await tab.evaluate('getComputedStyle(document.activeElement).outlineStyle')
      expect(outline).toBe('solid')
      // Leaves only the events of peers.
      if (count < 3) await tab.press('Space')
    }
    expect(stops).toEqual([
      'Addresses',
      'Strategies',
      'Verdict',
      'Peers',
      'Search',
      'Replace addresses, peers and host names',
      'Save as JSON'
    ])
    expect(
      await tab.evaluate(`[...document.querySelectorAll('.timeline li')].map((each) => each.dataset.group).join()`)
    ).toBe('peers,peers')
    await tab.press('Enter')
    const file = await untilFile(folder)
    const saved = JSON.parse(await readFile(file, 'utf8')) as { report: Report; events: readonly unknown[] }
    expect(saved.report.verdict).toBe('relayed')
    expect(saved.events).toHaveLength(situations.relayed.events.length)
    expect(JSON.stringify(saved)).not.toMatch(/12D3Koo|192\.168|11\.0\.0/)
  })

  it('nothing moves where motion is unwelcome', async () => {
    const tab = await openTab()
    await openLive(tab)
    const duration = `getComputedStyle(document.querySelector('.bar .rest')).transitionDuration`
    expect(await tab.evaluate(duration)).toBe('1s')
    await tab.resize(1100, 800, 'light', 'reduce')
    expect(await tab.evaluate(duration)).toBe('0s')
  })

  it('a lease runs down, and is full again after its renewal', async () => {
    const tab = await openTab()
    const clock = virtualClock()
    const expiring = (seconds: number): Report => ({
      ...situations.verified.report,
      candidates: situations.verified.report.candidates.map((each) => ({
        ...each,
        expiresAt: new Date(clock.wallMs() + seconds * 1000).toISOString()
      }))
    })
    const source = scriptedSource(expiring(7200))
    const page = await statusPage(source, { clock })
    onTestFinished(() => page.close())
    await tab.open(page.url)
    const share = `Math.round(100 * Number(document.querySelector('.leases li')?.dataset.share))`
    await tab.until(`${share} === 100`)
    await clock.advance(3_595_000)
    source.shown = { ...source.shown, advice: ['half of the time is over'] }
    await clock.advance(5000)
    await tab.until(`${share} === 50`)
    source.shown = expiring(7200)
    await clock.advance(5000)
    await tab.until(`${share} === 100`)
  })
})

/** Resolves with the file that was downloaded. */
async function untilFile(folder: string): Promise<string> {
  for (;;) {
    const [name] = (await readdir(folder)).filter((each) => each.endsWith('.json'))
    if (name !== undefined) return join(folder, name)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
