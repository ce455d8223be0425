import { printable } from '@postern/interface'
import type { Mark, Place } from '@postern/status'
import type { Colors } from '../../../shared/terminal.js'

/** The characters of a frame. */
export interface Frame {
  /** Its corners, from the upper left one clockwise. */
  readonly corners: readonly [string, string, string, string]
  readonly across: string
  readonly down: string
  /** Where a way leaves it: to the left, to the right, downwards. */
  readonly exits: readonly [string, string, string]
}

/** The characters that a picture consists of. Each mark has its own, so that it is legible without colours. */
export interface Glyphs {
  readonly frames: Readonly<Record<Mark, Frame>>
  /** A way across, and a way downwards. */
  readonly ways: Readonly<Record<Mark, readonly [across: string, down: string]>>
  /** The sign in the middle of a way, or before the name of a place; empty if it needs none. */
  readonly signs: Readonly<Record<Mark, string>>
  /** A place on a way that leads downwards. */
  readonly stops: Readonly<Record<Mark, string>>
  /** The way around: its turn at this machine, its arrow, its turn at the upper and the lower right. */
  readonly detour: readonly [turn: string, arrow: string, upper: string, lower: string]
  /** A branch of a way: to the left and to the right, then the last one of each. */
  readonly branches: readonly [left: string, right: string, lastLeft: string, lastRight: string]
  /** The end of a text that was cut. */
  readonly cut: string
}

const round: Frame = { corners: ['╭', '╮', '╯', '╰'], across: '─', down: '│', exits: ['┤', '├', '┬'] }

/** Box-drawing characters (Unicode, 2500 to 257F). */
export const boxGlyphs: Glyphs = {
  frames: {
    ok: round,
    unknown: round,
    broken: { corners: ['╔', '╗', '╝', '╚'], across: '═', down: '║', exits: ['╢', '╟', '╤'] },
    idle: { ...round, across: '╌', down: '╎' }
  },
  ways: { ok: ['─', '│'], unknown: ['─', '│'], broken: ['─', '│'], idle: ['╌', '╎'] },
  signs: { ok: '', unknown: '?', broken: '✘', idle: '' },
  stops: { ok: '●', unknown: '?', broken: '✘', idle: '○' },
  detour: ['╰', '◄', '╮', '╯'],
  branches: ['┤', '├', '╯', '╰'],
  cut: '…'
}

const plus: Frame = { corners: ['+', '+', '+', '+'], across: '-', down: '|', exits: ['+', '+', '+'] }

/** ASCII only. */
export const asciiGlyphs: Glyphs = {
  frames: {
    ok: plus,
    unknown: plus,
    broken: { corners: ['#', '#', '#', '#'], across: '#', down: '#', exits: ['#', '#', '#'] },
    idle: { corners: ['.', '.', '.', '.'], across: '.', down: ':', exits: [':', ':', '.'] }
  },
  ways: { ok: ['-', '|'], unknown: ['-', '|'], broken: ['-', '|'], idle: ['.', ':'] },
  signs: { ok: '', unknown: '?', broken: 'X', idle: '' },
  stops: { ok: 'o', unknown: '?', broken: 'X', idle: '.' },
  detour: ['+', '<', '+', '+'],
  branches: ['+', '+', '+', '+'],
  cut: '..'
}

/** How to write a picture. */
export interface Pen {
  readonly glyphs: Glyphs
  /** Colours a text. */
  readonly paint: Readonly<Record<Mark, (text: string) => string>>
  /** Makes a text printable with these glyphs. */
  readonly write: (text: string) => string
}

/** Returns what to write a picture with. */
export function penFor(isUnicode: boolean, colors: Colors): Pen {
  return {
    glyphs: isUnicode ? boxGlyphs : asciiGlyphs,
    paint: {
      ok: colors.green,
      unknown: colors.yellow,
      broken: (text) => colors.red(colors.bold(text)),
      idle: colors.dim
    },
    write: (text) => {
      const clean = printable(text).replaceAll(/\s+/g, ' ').trim()
      return isUnicode ? clean : toAscii(clean)
    }
  }
}

/** Letters lose their accents, and other characters become question marks. */
const toAscii = (text: string): string =>
  text
    .replaceAll('…', '..')
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^ -~]/gu, '?')

/** Returns the name of a place with its sign. */
export function titleOf({ name, mark }: Place, { glyphs, write }: Pen): string {
  const sign = glyphs.signs[mark]
  return sign === '' ? write(name) : `${sign} ${write(name)}`
}
