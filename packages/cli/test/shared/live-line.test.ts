import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { virtualClock } from '@postern/testkit'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Activity, createLiveLine, type LiveLine } from '../../src/shared/live-line.js'
import { line } from '../../src/shared/output.js'
import { createScreen, type Screen } from '../support/screen.js'

const open: LiveLine[] = []
afterEach(() => {
  for (const live of open.splice(0)) live.hide()
  vi.unstubAllEnvs()
})

function lineOn(screen: Screen, isText = true) {
  const clock = virtualClock()
  const live = createLiveLine({ out: screen.stream, err: screen.stream }, { isText, clock })
  open.push(live)
  return { clock, live }
}

describe('the live line', () => {
  it('appears at once, and counts each second', async () => {
    const screen = createScreen()
    const { clock, live } = lineOn(screen)
    live.show('Opening a port')
    expect(screen.lines()).toEqual(['Opening a port …'])
    for (const seconds of [1, 2, 3]) {
      await clock.advance(1000)
      expect(screen.lines()).toEqual([`Opening a port … ${seconds} s`])
    }
  })

  it('the time goes on while only the details change, and restarts with another activity', async () => {
    const screen = createScreen()
    const { clock, live } = lineOn(screen)
    let activity: Activity = { doing: 'Asking the router', about: 'over PCP and UPnP' }
    live.show(() => activity)
    await clock.advance(2000)
    activity = { ...activity, about: 'over UPnP' }
    live.refresh()
    expect(screen.lines()).toEqual(['Asking the router over UPnP … 2 s'])
    activity = { doing: 'Waiting for the router' }
    await clock.advance(1000)
    expect(screen.lines()).toEqual(['Waiting for the router …'])
    await clock.advance(1000)
    expect(screen.lines()).toEqual(['Waiting for the router … 1 s'])
  })

  it('stays below whatever else is written', () => {
    const screen = createScreen()
    const { live } = lineOn(screen)
    live.show('Opening a port')
    line(screen.stream, 'a remark')
    expect(screen.lines()).toEqual(['a remark', 'Opening a port …'])
    live.hide()
    line(screen.stream, 'the end')
    expect(screen.lines()).toEqual(['a remark', 'the end', ''])
  })

  it('leaves nothing behind, and nothing runs after it was hidden', async () => {
    const screen = createScreen()
    const { clock, live } = lineOn(screen)
    const before = process.listenerCount('SIGINT') + process.listenerCount('exit')
    live.show('Opening a port')
    live.hide()
    live.hide()
    expect(screen.lines()).toEqual([''])
    const written = screen.written()
    await clock.advance(5000)
    live.refresh()
    expect(screen.written()).toBe(written)
    expect(process.listenerCount('SIGINT') + process.listenerCount('exit')).toBe(before)
  })

  it('is hidden when there is nothing more to do', async () => {
    const screen = createScreen()
    const { clock, live } = lineOn(screen)
    let activity: Activity | undefined = { doing: 'Asking the router' }
    live.show(() => activity)
    activity = undefined
    await clock.advance(1000)
    expect(screen.lines()).toEqual([''])
  })

  it('never wraps, and shows no control characters', async () => {
    const screen = createScreen(20)
    const { clock, live } = lineOn(screen)
    live.show({ doing: 'Asking the router', about: 'over \u001b[2J\r\n and many others' })
    await clock.advance(12_000)
    expect(screen.lines()).toEqual(['Asking the r … 12 s'])
  })

  it('covers the ^C that the terminal writes', () => {
    const screen = createScreen()
    const { live } = lineOn(screen)
    const others = new Set(process.listeners('SIGINT'))
    const handled = (): void => undefined
    process.on('SIGINT', handled)
    live.show('Opening a port')
    screen.stream.write('^C')
    for (const listener of process.listeners('SIGINT')) if (!others.has(listener)) listener('SIGINT')
    process.off('SIGINT', handled)
    expect(screen.lines()).toEqual(['Opening a port …'])
  })

  it('is not written with --json, without a terminal, or to one that does not move its cursor', () => {
    const screen = createScreen()
    expect(lineOn(screen, false).live.isOn).toBe(false)
    const pipe = new PassThrough()
    const live = createLiveLine({ out: screen.stream, err: pipe }, { isText: true, clock: virtualClock() })
    live.show('Opening a port')
    expect({ isOn: live.isOn, length: pipe.readableLength }).toEqual({ isOn: false, length: 0 })
    vi.stubEnv('TERM', 'dumb')
    expect(lineOn(screen).live.isOn).toBe(false)
    expect(screen.written()).toBe('')
  })
})

it('a signal that no command handles ends the process, and the line is gone', async () => {
  const module = new URL('../../src/shared/live-line.ts', import.meta.url).href
  const sources = new URL('../../../../scripts/sources.mjs', import.meta.url).href
  const script = `
    const { createLiveLine } = await import(${JSON.stringify(module)})
    const err = Object.assign(process.stdout, { isTTY: true, columns: 80 })
    createLiveLine({ out: err, err }, { isText: true }).show('Loading')`
  const child = spawn(process.execPath, ['--import', sources, '--input-type=module', '-e', script], {
    env: { ...process.env, TERM: 'xterm', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let text = ''
  child.stdout.on('data', (data: Buffer) => {
    text += data.toString()
    if (text.includes('Loading')) child.kill('SIGINT')
  })
  const [, signal] = await once(child, 'close')
  expect({ signal, end: text.slice(-4) }).toEqual({ signal: 'SIGINT', end: '\r\u001b[K' })
})
