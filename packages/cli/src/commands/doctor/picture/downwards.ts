import type { Mark, Picture, Place } from '@postern/status'
import { cut, widthOf, wrapTo } from './fit-text.js'
import type { Pen } from './glyphs.js'

/** The columns before the details of a place. */
const indent = 4
/** The columns that the way around takes at the right. */
const detourColumns = 3

/** Draws the places below each other, with the way around at the right. */
export function downwards(picture: Picture, columns: number, pen: Pen): readonly string[] {
  const { chain, outside, ways, detour } = picture
  const { glyphs, paint } = pen
  const helper = detour === null ? undefined : ways.find(({ to }) => to === 'machine')?.from
  const room = columns - (helper === undefined ? 0 : detourColumns)
  const lines: Line[] = []
  const last = chain.length - 1
  for (const [index, place] of chain.entries()) {
    const mark = ways[index]?.mark ?? 'idle'
    const isEnd = index === last && outside.length === 0
    const below = index === last ? trunkOf(outside, 0) : mark
    const bar = isEnd ? ' ' : paint[below](glyphs.ways[below][1])
    lines.push({ ...headOf(place, glyphs.stops[place.mark], place.mark, room, pen), id: place.id })
    lines.push(...detailsOf(place, bar, '', room, pen))
    if (index === last) continue
    const sign = glyphs.signs[mark] || glyphs.ways[mark][1]
    lines.push({ text: paint[mark](sign), width: 1 })
  }
  const helperAt = outside.findIndex(({ id }) => id === helper)
  for (const [index, place] of outside.entries()) {
    // The way around ends at the relay.
    const left = index > helperAt ? columns : room
    const isEnd = index === outside.length - 1
    const after = trunkOf(outside, index + 1)
    const branch = `${isEnd ? glyphs.branches[3] : glyphs.branches[1]}${glyphs.ways[place.mark][0]}`
    lines.push({ ...headOf(place, branch, place.mark, left, pen), id: place.id })
    lines.push(
      ...detailsOf(
        place,
        isEnd ? ' ' : paint[after](glyphs.ways[after][1]),
        '  ',
        index >= helperAt ? columns : room,
        pen
      )
    )
  }
  return helper === undefined ? lines.map(({ text }) => text) : withDetour(lines, helper, room, pen)
}

interface Line {
  readonly text: string
  readonly width: number
  /** The place that the line names. */
  readonly id?: string
}

/** A way leads down to the last host that is reached over it. */
const trunkOf = (outside: readonly Place[], from: number): Mark =>
  outside.slice(from).some(({ mark }) => mark === 'ok') ? 'ok' : 'idle'

function headOf({ name }: Place, sign: string, mark: Mark, room: number, { glyphs, paint, write }: Pen): Line {
  const text = cut(`${sign} ${write(name)}`, room, glyphs.cut)
  return { text: paint[mark](text), width: widthOf(text) }
}

function detailsOf(
  { details, mark }: Place,
  bar: string,
  more: string,
  room: number,
  { glyphs, paint, write }: Pen
): readonly Line[] {
  const before = ' '.repeat(indent - 1) + more
  const left = Math.max(1, room - indent - more.length)
  return wrapTo(details.map(write).join(', '), left, glyphs.cut).map((text) => ({
    text: `${bar}${before}${mark === 'idle' ? paint.idle(text) : text}`,
    width: indent + more.length + widthOf(text)
  }))
}

/** Draws the way around from a relay to this machine, at the right of the lines between them. */
function withDetour(lines: readonly Line[], helper: string, room: number, { glyphs, paint }: Pen): readonly string[] {
  const [, arrow, upper, lower] = glyphs.detour
  const [across, down] = glyphs.ways.ok
  const end = lines.findIndex(({ id }) => id === helper)
  const widest = Math.min(room, Math.max(...lines.slice(0, end + 1).map(({ width }) => width)))
  return lines.map(({ text, width }, index) => {
    if (index > end) return text
    const free = widest + 2 - width
    if (index === 0) return `${text} ${paint.ok(`${arrow}${across.repeat(Math.max(0, free - 2))}${upper}`)}`
    if (index === end) return `${text} ${paint.ok(`${across.repeat(Math.max(0, free - 1))}${lower}`)}`
    return `${text}${' '.repeat(Math.max(0, free))}${paint.ok(down)}`
  })
}

/** Lists the places, for a terminal that is too narrow for a picture. */
export function listed({ chain, outside }: Picture, columns: number, { glyphs, paint, write }: Pen): readonly string[] {
  const room = Math.max(1, columns - 2)
  return [...chain, ...outside].flatMap(({ name, details, mark }) => {
    const text = details.length === 0 ? write(name) : `${write(name)}: ${details.map(write).join(', ')}`
    return wrapTo(text, room, glyphs.cut).map((each, index) =>
      index === 0
        ? `${paint[mark](glyphs.stops[mark])} ${mark === 'idle' ? paint.idle(each) : each}`
        : `  ${mark === 'idle' ? paint.idle(each) : each}`
    )
  })
}
