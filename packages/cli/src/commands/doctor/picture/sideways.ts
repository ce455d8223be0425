import type { Mark, Picture, Place } from '@postern/status'
import { cut, longestWord, pad, widthOf, wrapTo } from './fit-text.js'
import { type Frame, type Pen, titleOf } from './glyphs.js'

/** The columns that a frame takes besides its text. */
const frameColumns = 4
/** The number of columns of text in a frame above which it is wrapped. */
const maxTextColumns = 30
/** The lengths of the ways between the frames: the longest that fits. */
const gaps = [7, 5, 3] as const
/** The minimum length of a way, in columns. */
const minGap = 2
/** The column of the way around below the first frame. */
const detourAt = 3
/** The column of the relays and witnesses. */
const outsideAt = 7
/** The minimum length of the line from a witness to the internet, in columns. */
const minLeader = 3

interface Box {
  readonly place: Place
  readonly x: number
  /** The columns of its text. */
  readonly room: number
  readonly lines: readonly string[]
}

/** Draws the places in a row, as the page does. Returns undefined if they do not fit without cutting a name. */
export function sideways(picture: Picture, columns: number, pen: Pen): readonly string[] | undefined {
  const { chain, ways } = picture
  const texts = chain.map((place) => [titleOf(place, pen), ...place.details.map(pen.write)])
  const outside = outsideTexts(picture, pen)
  const neededSpine = Math.max(0, ...outside.map(({ text }) => outsideAt + widthOf(text) + 1 + minLeader))
  const widths = fit(texts, columns, neededSpine)
  if (widths === undefined) return undefined
  const { rooms, gap } = widths
  let x = 0
  const boxes = chain.map((place, index): Box => {
    const room = rooms[index] ?? 0
    const box = { place, x, room, lines: (texts[index] ?? []).flatMap((text) => wrapTo(text, room, pen.glyphs.cut)) }
    x += room + frameColumns + gap
    return box
  })
  const marks = ways.slice(0, chain.length - 1).map(({ mark }) => mark)
  return [...row(boxes, marks, gap, picture, pen), ...below(boxes, outside, picture, pen)]
}

/** Returns the widths of the texts and the gap between the frames: as wide as the texts, and narrower where they have to be. */
function fit(
  texts: readonly (readonly string[])[],
  columns: number,
  neededSpine: number
): { readonly rooms: readonly number[]; readonly gap: number } | undefined {
  const limits = texts.map(([title = '', ...details]) => {
    const least = Math.max(widthOf(title), ...details.map(longestWord))
    const whole = Math.max(widthOf(title), ...details.map(widthOf))
    return { least, most: Math.max(least, Math.min(maxTextColumns, whole)) }
  })
  // First shorten the ways, then wrap the texts: short ways are easier to read than wrapped texts.
  for (const [gap, mayShrink] of [...gaps.map((each) => [each, false] as const), [minGap, true] as const]) {
    const fixed = texts.length * frameColumns + (texts.length - 1) * gap
    const rooms = shrink(limits, columns - fixed)
    if (rooms === undefined || (!mayShrink && rooms.some((room, index) => room !== limits[index]?.most))) continue
    const total = fixed + sum(rooms)
    const spine = total - Math.ceil(((rooms.at(-1) ?? 0) + frameColumns) / 2)
    const ways = texts.length - 1
    const wanted = Math.ceil((neededSpine - spine) / ways)
    return { rooms, gap: gap + Math.max(0, Math.min(wanted, Math.floor((columns - total) / ways))) }
  }
  return undefined
}

/** Takes columns from the widest texts until all fit; returns undefined if they cannot. */
function shrink(
  limits: readonly { readonly least: number; readonly most: number }[],
  columns: number
): readonly number[] | undefined {
  const rooms = limits.map(({ most }) => most)
  while (sum(rooms) > columns) {
    const loose = rooms.filter((room, index) => room > (limits[index]?.least ?? 0))
    if (loose.length === 0) return undefined
    const widest = rooms.findIndex((room, index) => room === Math.max(...loose) && room > (limits[index]?.least ?? 0))
    rooms[widest] = (rooms[widest] ?? 0) - 1
  }
  return rooms
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/** Returns the frames with the ways between them, line by line. */
function row(
  boxes: readonly Box[],
  marks: readonly Mark[],
  gap: number,
  picture: Picture,
  pen: Pen
): readonly string[] {
  const { glyphs, paint } = pen
  const height = Math.max(...boxes.map(({ lines }) => lines.length))
  const middle = Math.floor((height - 1) / 2)
  const exitOf = (box: Box, index: number): number | undefined => {
    if (index === boxes.length - 1 && picture.outside.length > 0) return spineOf(box) - box.x
    return index === 0 && picture.detour !== null ? detourAt : undefined
  }
  const edge = (isTop: boolean): string =>
    boxes
      .map((box, index) => {
        const frame = glyphs.frames[box.place.mark]
        return paint[box.place.mark](edgeOf(frame, box.room + 2, isTop, isTop ? undefined : exitOf(box, index)))
      })
      .join(' '.repeat(gap))
  const inner = Array.from({ length: height }, (_, at) =>
    boxes
      .map(({ place, room, lines }, index) => {
        const frame = glyphs.frames[place.mark]
        const mark = marks[index]
        const left = at === middle && index > 0 ? frame.exits[0] : frame.down
        const right = at === middle && mark !== undefined ? frame.exits[1] : frame.down
        const text = pad(lines[at] ?? '', room)
        const shown = at === 0 || place.mark === 'idle' ? paint[place.mark](text) : text
        const way = mark === undefined ? '' : at === middle ? wayOf(mark, gap, pen) : ' '.repeat(gap)
        return `${paint[place.mark](left)} ${shown} ${paint[place.mark](right)}${way}`
      })
      .join('')
  )
  return [edge(true), ...inner, edge(false)]
}

/** Returns the upper or lower edge of a frame, with a way that leaves it downwards at the column `exit`. */
function edgeOf(frame: Frame, across: number, isTop: boolean, exit: number | undefined): string {
  const [upperLeft, upperRight, lowerRight, lowerLeft] = frame.corners
  const line = Array.from({ length: across }, (_, index) => (index + 1 === exit ? frame.exits[2] : frame.across))
  return `${isTop ? upperLeft : lowerLeft}${line.join('')}${isTop ? upperRight : lowerRight}`
}

/** Returns a way across, with its sign in the middle. */
function wayOf(mark: Mark, length: number, { glyphs, paint }: Pen): string {
  const [across] = glyphs.ways[mark]
  const sign = glyphs.signs[mark]
  if (sign === '') return paint[mark](across.repeat(length))
  const before = Math.floor((length - 1) / 2)
  return paint[mark](`${across.repeat(before)}${sign}${across.repeat(length - before - 1)}`)
}

/** The column from which the ways to the hosts outside leave the last frame. */
const spineOf = ({ x, room }: Box): number => x + Math.floor((room + frameColumns) / 2)

interface Outside {
  readonly text: string
  readonly mark: Mark
  readonly isDetour: boolean
}

/** Returns the hosts on the internet in one line each; that of the way around is first. */
function outsideTexts({ outside, ways, detour }: Picture, { write }: Pen): readonly Outside[] {
  const around = detour === null ? undefined : ways.find(({ to }) => to === 'machine')?.from
  return outside
    .map(
      ({ id, name, details, mark }): Outside => ({
        text: [write(name), details.map(write).join(', ')].filter((each) => each !== '').join(' '),
        mark,
        isDetour: id === around
      })
    )
    .toSorted((one, other) => Number(other.isDetour) - Number(one.isDetour))
}

/** Returns the hosts on the internet, with the ways to them and the one around. */
function below(boxes: readonly Box[], outside: readonly Outside[], { detour }: Picture, pen: Pen): readonly string[] {
  const last = boxes.at(-1)
  if (last === undefined || outside.length === 0) return []
  const { glyphs, paint } = pen
  const spine = spineOf(last)
  const gap = ' '.repeat(spine - detourAt - 1)
  const beside = detour !== null ? paint.ok(glyphs.ways.ok[1]) : ' '
  // Down to the last host that is reached, the trunk is a good way.
  const trunk = (from: number): Mark => (outside.slice(from).some(({ mark }) => mark === 'ok') ? 'ok' : 'idle')
  const lines = [`${' '.repeat(detourAt)}${beside}${gap}${paint[trunk(0)](glyphs.ways[trunk(0)][1])}`]
  for (const [index, { text, mark, isDetour }] of outside.entries()) {
    const room = spine - outsideAt - minLeader - 1
    const shown = cut(text, room, glyphs.cut)
    const [across] = glyphs.ways[mark]
    const [turn, arrow] = glyphs.detour
    const before = isDetour
      ? `${' '.repeat(detourAt)}${paint.ok(`${turn}${arrow}${glyphs.ways.ok[0]}`)} `
      : ' '.repeat(outsideAt)
    const leader = across.repeat(spine - outsideAt - widthOf(shown) - 1)
    const end = index === outside.length - 1 ? glyphs.branches[2] : glyphs.branches[0]
    lines.push(
      `${before}${mark === 'idle' ? paint.idle(shown) : shown} ${paint[mark](leader)}${paint[trunk(index)](end)}`
    )
  }
  return lines
}
