import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lab } from '@postern/lab'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startChromium } from '../../../../status/test/support/chromium.mjs'
import { browser, why as whyNoBrowser } from '../../../../status/test/support/in-browser.js'
import { command, enter, folder, posternIn, type Running, support, why } from '../../support/in-lab.js'

const isReady = support.ok && browser.ok

/** Opens the page of a command in a browser in the same host. */
async function openIn(lab: Lab, { told }: Running) {
  if (!browser.ok) throw new Error(browser.reason)
  const chromium = await startChromium(browser.program, (words, options) => lab.spawn('home', words, options))
  onTestFinished(() => chromium.close())
  const tab = await chromium.tab()
  await tab.resize(1100, 800)
  const [first] = told.filter(({ event }) => event === 'listening')
  await tab.open(String((first as { url?: string } | undefined)?.url))
  return tab
}

const rung = (name: string): string => `document.querySelector('.rung[data-strategy="${name}"]')?.dataset.state`

describe.skipIf(!isReady)(`postern watch in Chromium${why}${whyNoBrowser}`, { timeout: 120_000 }, () => {
  it('the rung falls when the router reboots and its link goes down, and climbs when it is back', async () => {
    const lab = await enter('home')
    const watch = command(lab, ['watch', '--json', '--', 'map', '8080'], await folder())
    await watch.next('listening')
    const tab = await openIn(lab, watch)
    await tab.until(`${rung('pcp')} === 'active'`)
    await tab.until(`document.querySelectorAll('.leases li').length === 1`)
    await lab.linkDown('home')
    await lab.reboot('router')
    await tab.until(`${rung('pcp')} !== 'active'`, 60_000)
    await tab.until(`document.querySelector('.place.broken, .way.broken') !== null`)
    await lab.linkUp('home')
    await tab.until(`${rung('pcp')} === 'active'`, 60_000)
    expect(tab.complaints).toEqual([])
    watch.child.kill('SIGINT')
    expect(await watch.ended).toBe(0)
    expect(await lab.rules()).toEqual([])
    await tab.until(`document.querySelector('header').textContent.includes('has ended')`)
  })

  it('the rung is in doubt soon after only the daemon of the router has stopped, and no longer when it is back', async () => {
    const lab = await enter('home')
    const watch = command(lab, ['watch', '--json', '--', 'map', '8080'], await folder())
    await watch.next('listening')
    const tab = await openIn(lab, watch)
    await tab.until(`${rung('pcp')} === 'active' && ${rung('upnp')} === 'standby'`)
    await lab.stopDaemon('router')
    const line = `document.querySelector('.rung[data-strategy="pcp"]')`
    await tab.until(`${line}.textContent.includes('in doubt: no answer now')`, 60_000)
    expect(await tab.evaluate(`${line}.className`)).toBe('rung doubted')
    await lab.startDaemon('router')
    await tab.until(`${line}.className === 'rung active'`, 60_000)
  })

  it('the lease is full again after the router was restarted, and the timeline says so', async () => {
    const lab = await enter('home')
    const watch = command(lab, ['watch', '--json', '--', 'map', '8080'], await folder())
    await watch.next('listening')
    const tab = await openIn(lab, watch)
    await tab.until(`${rung('pcp')} === 'active'`)
    await watch.next('mapped')
    await lab.reboot('router')
    const lines = `[...document.querySelectorAll('.timeline li')].map((each) => each.textContent).join('|')`
    await tab.until(`/(?:renewed|mapped): tcp.*\\|.*mapped: tcp/.test(${lines})`, 60_000)
    expect(await lab.rules()).toHaveLength(1)
  })

  it('behind a carrier NAT the page shows where connections stop, with what to do', async () => {
    const lab = await enter('carrier-nat')
    const watch = command(lab, ['watch', '--json'], await folder())
    await watch.next('listening')
    const tab = await openIn(lab, watch)
    await tab.until(`document.querySelector('.place.broken')?.textContent.includes('Provider')`)
    expect(await tab.evaluate(`document.querySelector('.advice').textContent`)).toContain('Ask the provider')
    watch.child.kill('SIGINT')
    expect(await watch.ended).toBe(0)
  })
})

describe.skipIf(!support.ok).concurrent(`postern watch${why}`, { timeout: 60_000 }, () => {
  it('watch alone tests this machine as doctor does, goes on, and releases everything at Ctrl-C', async () => {
    const lab = await enter('home')
    const watch = command(lab, ['watch', '--json'], await folder())
    expect(await watch.next('listening')).toEqual({
      event: 'listening',
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{22}\/\?token=[\w-]{22}$/)
    })
    await expect.poll(() => watch.told.some((each) => 'verdict' in each), { timeout: 20_000 }).toBe(true)
    expect(await lab.rules()).toHaveLength(1)
    watch.child.kill('SIGINT')
    expect(await watch.ended).toBe(0)
    expect(await lab.rules()).toEqual([])
  })

  it('a port that is taken is an error, and nothing is mapped', async () => {
    const lab = await enter('home')
    const first = command(lab, ['watch', '--json', '--port', '8099'], await folder())
    await first.next('listening')
    const { code, stderr } = await posternIn(lab, ['watch', '--port', '8099', '--', 'map', '8080'])
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('another program has port 8099') })
    first.child.kill('SIGINT')
    await first.ended
  })

  it('the address is printed before anything else', async () => {
    const lab = await enter('no-daemon')
    const { stdout } = await posternIn(lab, ['watch', '--', 'map', '8080', '--once'])
    expect(stdout).toMatch(/^Page http:\/\/127\.0\.0\.1:\d+\//)
  })

  it('the JSON of a watched command is the only thing on standard output', async () => {
    const lab = await enter('home')
    const { stdout, stderr } = await posternIn(lab, ['watch', '--', 'map', '8080', '--once', '--json'])
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { event: string }).event)
    ).toEqual(['mapped'])
    expect(stderr).toContain('Page http://127.0.0.1:')
  })

  it.each([
    [['watch', 'relay'], /'relay' cannot be watched/],
    [['watch', '--', 'constructor'], /'constructor' cannot be watched/],
    [['watch', '--', 'map'], /missing required argument 'port'/],
    [['watch', '--', 'doctor', '--nonsense'], /unknown option '--nonsense'/],
    [['watch', '--port', '70000'], /give a port/]
  ])('postern %j is a usage error', async (args, text) => {
    const { code, stderr } = await posternIn(await enter('home'), args)
    expect(code).toBe(2)
    expect(stderr).toMatch(text)
  })

  it('doctor --html writes a page with the report and what happened, beside its usual output', async () => {
    const lab = await enter('carrier-nat')
    const file = join(await folder(), 'report.html')
    const { code, stdout, stderr } = await posternIn(lab, ['doctor', '--json', '--html', file])
    expect(code).toBe(11)
    expect(stderr).toContain(`Written: ${file}`)
    const [, data = ''] = /id="data">(.*?)<\/script>/s.exec(await readFile(file, 'utf8')) ?? []
    const saved = JSON.parse(data) as { report: unknown; events: readonly { name: string }[] }
    expect(saved.report).toEqual(JSON.parse(stdout))
    expect(saved.events.map(({ name }) => name)).toContain('strategy')
  })

  it('doctor --html says why the file cannot be written, and releases the mapping', async () => {
    const lab = await enter('home')
    const { code, stdout, stderr } = await posternIn(lab, [
      'doctor',
      '--html',
      join(await folder(), 'missing', 'x.html')
    ])
    expect(code).toBe(1)
    expect(stdout).toContain('Verdict: public')
    expect(stderr).toContain('the report cannot be written: ENOENT')
    expect(await lab.rules()).toEqual([])
  })
})
