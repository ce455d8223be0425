import type { Picture } from './picture.js'
import type { Mark, Place } from './places.js'

/** A place with its rectangle. */
export interface Box {
  readonly place: Place
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** A way, as straight parts. */
export interface Line {
  readonly id: string
  /** The ends of its parts. */
  readonly points: readonly (readonly [x: number, y: number])[]
  readonly mark: Mark
  /** Whether it leads around what stops connections. */
  readonly isDetour: boolean
}

/** Where everything in the picture is, in the units of the SVG. */
export interface Layout {
  readonly width: number
  readonly height: number
  readonly boxes: readonly Box[]
  readonly lines: readonly Line[]
}

const boxWidth = 168
const boxHeight = 92
const smallHeight = 66
const gapWidth = 44
const gapHeight = 30
const margin = 10
/** The room for a way that leads around the others. */
const detourRoom = 26

/** Lays the picture out: from left to right, or from top to bottom where there is little room. */
export const layOut = (picture: Picture, isNarrow: boolean): Layout =>
  isNarrow ? downwards(picture) : sideways(picture)

type Point = readonly [x: number, y: number]

function sideways({ chain, outside, ways, detour }: Picture): Layout {
  const column = outside.length * (smallHeight + gapHeight / 2) - gapHeight / 2
  const top = margin + (detour === null ? 0 : detourRoom)
  const inner = Math.max(boxHeight, column)
  const xOf = (index: number): number => margin + index * (boxWidth + gapWidth)
  const boxes: readonly Box[] = [
    ...chain.map((place, index) => ({
      place,
      x: xOf(index),
      y: top + (inner - boxHeight) / 2,
      width: boxWidth,
      height: boxHeight
    })),
    ...outside.map((place, index) => ({
      place,
      x: xOf(chain.length),
      y: top + (inner - column) / 2 + index * (smallHeight + gapHeight / 2),
      width: boxWidth,
      height: smallHeight
    }))
  ]
  const width = xOf(chain.length + (outside.length > 0 ? 1 : 0)) - gapWidth + margin
  const lines = linesOf(ways, boxes, (from, to) =>
    to.x < from.x
      ? [
          [from.x + from.width / 2, from.y],
          [from.x + from.width / 2, margin],
          [to.x + to.width / 2, margin],
          [to.x + to.width / 2, to.y]
        ]
      : [
          [from.x + from.width, from.y + from.height / 2],
          [to.x, to.y + to.height / 2]
        ]
  )
  return { width, height: top + inner + margin, boxes, lines }
}

const indent = 28

function downwards({ chain, outside, ways, detour }: Picture): Layout {
  const yOf = (index: number): number => margin + index * (boxHeight + gapHeight)
  const below = yOf(chain.length)
  const boxes: readonly Box[] = [
    ...chain.map((place, index) => ({ place, x: margin, y: yOf(index), width: boxWidth + indent, height: boxHeight })),
    ...outside.map((place, index) => ({
      place,
      x: margin + indent,
      y: below + index * (smallHeight + gapHeight / 3),
      width: boxWidth,
      height: smallHeight
    }))
  ]
  const last = boxes.at(-1)
  const height = (last === undefined ? 0 : last.y + last.height) + margin
  const width = boxWidth + indent + 2 * margin + (detour === null ? 0 : detourRoom)
  const lines = linesOf(ways, boxes, (from, to) => {
    if (to.y < from.y) {
      return [
        [from.x + from.width, from.y + from.height / 2],
        [width - margin, from.y + from.height / 2],
        [width - margin, to.y + to.height / 2],
        [to.x + to.width, to.y + to.height / 2]
      ]
    }
    const x = to.x > from.x ? from.x + indent / 2 : from.x + from.width / 2
    const start: Point = [x, from.y + from.height]
    if (to.x === from.x) return [start, [x, to.y]]
    return [start, [x, to.y + to.height / 2], [to.x, to.y + to.height / 2]]
  })
  return { width, height, boxes, lines }
}

function linesOf(
  ways: Picture['ways'],
  boxes: readonly Box[],
  between: (from: Box, to: Box) => readonly Point[]
): readonly Line[] {
  const boxOf = new Map(boxes.map((box) => [box.place.id, box]))
  return ways.flatMap(({ from, to, mark }) => {
    const [one, other] = [boxOf.get(from), boxOf.get(to)]
    if (one === undefined || other === undefined) return []
    return [{ id: `${from}-${to}`, mark, points: between(one, other), isDetour: to === 'machine' }]
  })
}
