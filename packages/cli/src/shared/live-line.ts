import type { Writable } from 'node:stream'
import { type Clock, printable, systemClock } from '@postern/interface'
import { colorsFor } from './terminal.js'
import { columnsOf } from './wrap-lines.js'

/** What the program does now. */
export interface Activity {
  /** As a participle: `Asking the router`. The time is counted from when this text was shown first. */
  readonly doing: string
  /** What may change while the program does it: `over PCP and UPnP`. */
  readonly about?: string
}

/** The last line of a terminal, which says what the program does and for how long: `Asking the router over UPnP … 3 s`. */
export interface LiveLine {
  /** Whether the line is shown: stderr is a terminal that can move its cursor. */
  readonly isOn: boolean
  /** Shows an activity until `hide` or the next call. A function is called again at least once a second; the line is hidden when
   * it returns undefined. */
  show(activity: Activity | string | (() => Activity | undefined)): void
  /** Shows at once what has changed. */
  refresh(): void
  /** Removes the line from the terminal. May be called twice. */
  hide(): void
}

/** The options of {@link createLiveLine}. */
export interface LiveLineOptions {
  /** Whether the command writes text, and not JSON. */
  readonly isText: boolean
  /** @default the clock of this machine */
  readonly clock?: Clock
}

type Stream = Writable & { readonly isTTY?: boolean }

/** A line that is never shown. */
export const noLiveLine: LiveLine = {
  isOn: false,
  show: () => undefined,
  refresh: () => undefined,
  hide: () => undefined
}

/** The live lines by stream, so that other output is not appended to one. They are module state because a terminal belongs to
 * the process, and not to a command. */
const shownOn = new WeakMap<object, { readonly erase: () => void; readonly draw: () => void }>()

/** Writes to a stream, and keeps the live line of its terminal below. */
export function writeAbove(stream: Stream, text: string): void {
  const shown = shownOn.get(stream)
  shown?.erase()
  stream.write(text)
  shown?.draw()
}

/** Carriage return, then erase to the end of the line (ECMA-48 §8.3.41). */
const erased = '\r\u001b[K'
/** How often the time is renewed, in ms. */
const secondMs = 1000
const signals = ['SIGINT', 'SIGTERM'] as const

/** Creates a live line on stderr. It is overwritten in place once a second, so it does not flicker. Nothing is written without a
 * terminal, or if the command writes JSON. */
export function createLiveLine(
  { out, err }: { readonly out: Stream; readonly err: Stream },
  { isText, clock = systemClock }: LiveLineOptions
): LiveLine {
  if (!isText || err.isTTY !== true || process.env['TERM'] === 'dumb') return noLiveLine
  const colors = colorsFor(err)
  let current: (() => Activity | undefined) | undefined
  let doing = ''
  let sinceMs = 0
  let visible = ''
  let ticking: AbortController | undefined

  function draw(): void {
    const activity = current?.()
    if (activity === undefined) return hide()
    if (activity.doing !== doing) {
      doing = activity.doing
      sinceMs = clock.monotonicMs()
    }
    const seconds = Math.floor((clock.monotonicMs() - sinceMs) / secondMs)
    const time = seconds === 0 ? '' : ` ${seconds} s`
    const text = printable([doing, activity.about].filter((each) => each !== undefined).join(' '))
    // A line as wide as the terminal would wrap.
    const room = (columnsOf(err) || 80) - 1 - time.length - 2
    const cut = text.length <= room ? text : text.slice(0, Math.max(0, room))
    const next = `\r${colors.dim(`${cut} …${time}`)}\u001b[K`
    if (next !== visible) write(next)
    visible = next
  }
  const erase = (): void => {
    write(erased)
    visible = ''
  }
  const write = (text: string): void => {
    if (!err.destroyed) err.write(text)
  }

  /** Without a listener of the command the process ends by the signal, and the shell would write after the line. With one, the
   * terminal has written `^C` there. */
  const interrupted = (name: (typeof signals)[number]): void => {
    if (process.listenerCount(name) > 1) {
      erase()
      return draw()
    }
    hide()
    process.kill(process.pid, name)
  }

  async function tick(over: AbortController): Promise<void> {
    while (!over.signal.aborted) {
      const restMs = Math.ceil(secondMs - ((clock.monotonicMs() - sinceMs) % secondMs))
      const isOver = await clock.sleep(restMs, over).then(
        () => over.signal.aborted,
        () => true
      )
      if (!isOver) draw()
    }
  }

  function begin(): void {
    if (ticking !== undefined) return
    ticking = new AbortController()
    for (const stream of [out, err]) if (stream.isTTY === true) shownOn.set(stream, { erase, draw })
    for (const name of signals) process.on(name, interrupted)
    process.on('exit', hide)
    void tick(ticking)
  }

  function hide(): void {
    if (ticking === undefined) return
    ticking.abort()
    ticking = undefined
    current = undefined
    doing = ''
    for (const stream of [out, err]) shownOn.delete(stream)
    for (const name of signals) process.off(name, interrupted)
    process.off('exit', hide)
    erase()
  }

  return {
    isOn: true,
    show(activity) {
      const fixed = typeof activity === 'string' ? { doing: activity } : activity
      current = typeof fixed === 'function' ? fixed : () => fixed
      begin()
      draw()
    },
    refresh() {
      if (ticking !== undefined) draw()
    },
    hide
  }
}
