import type { Report } from '@postern/core'
import { useEffect, useId, useState } from 'preact/hooks'
import { type Box, type Line, layOut } from '../../src/model/layout.js'
import { pictureOf } from '../../src/model/picture.js'

const narrow = '(max-width: 60rem)'

/** The way in as a picture. The same in words is its description, and below it. */
export function WayIn({ report }: { readonly report: Report }) {
  const isNarrow = useMedia(narrow)
  const id = useId()
  const picture = pictureOf(report)
  const { width, height, boxes, lines } = layOut(picture, isNarrow)
  const { broken, detour } = picture
  return (
    <section aria-labelledby={`${id}h`}>
      <h2 id={`${id}h`}>The way in</h2>
      <svg
        class="way-in"
        viewBox={`0 0 ${width} ${height}`}
        width={width}
        height={height}
        role="img"
        aria-labelledby={`${id}t ${id}d`}
      >
        <title id={`${id}t`}>The way in</title>
        <desc id={`${id}d`}>{picture.summary}</desc>
        {lines.map((line) => (
          <WayLine key={line.id} line={line} />
        ))}
        {boxes.map((box) => (
          <PlaceBox key={box.place.id} box={box} />
        ))}
      </svg>
      {broken !== null && <p class="broken-text">{broken.where}</p>}
      {detour !== null && <p>{detour}</p>}
    </section>
  )
}

function WayLine({ line: { points, mark, isDetour } }: { readonly line: Line }) {
  const [[x1, y1] = [0, 0], [x2, y2] = [0, 0]] = points
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2]
  const [endX, endY] = points.at(-1) ?? [0, 0]
  const [beforeX] = points.at(-2) ?? [0, 0]
  const arrow = beforeX === endX ? 'l-6 -11 h12 z' : 'l11 -6 v12 z'
  return (
    <g class={`way ${mark} ${isDetour ? 'detour' : ''}`}>
      <polyline points={points.map((point) => point.join(' ')).join(' ')} />
      {isDetour && <path class="arrow" d={`M${endX} ${endY} ${arrow}`} />}
      {mark === 'broken' && <path class="cross" d={`M${x - 8} ${y - 8} l16 16 M${x + 8} ${y - 8} l-16 16`} />}
      {mark === 'unknown' && (
        <text class="mark" x={x + 7} y={y - 6} text-anchor="middle">
          ?
        </text>
      )}
    </g>
  )
}

const lineHeight = 17
/** How many characters fit into a box. */
const maxCharacters = 24

function PlaceBox({ box: { place, x, y, width, height } }: { readonly box: Box }) {
  const { kind, name, details, mark } = place
  const top = y + (height - (details.length + 1) * lineHeight) / 2 + 13
  return (
    <g class={`place ${kind} ${mark}`}>
      <rect x={x} y={y} width={width} height={height} rx={kind === 'internet' ? 26 : 8} />
      <text class="name" x={x + width / 2} y={top} text-anchor="middle">
        {name}
      </text>
      {details.map((text, index) => (
        <text key={text} x={x + width / 2} y={top + (index + 1) * lineHeight} text-anchor="middle">
          {text.length > maxCharacters ? `${text.slice(0, maxCharacters - 1)}…` : text}
        </text>
      ))}
      {mark === 'broken' && (
        <g class="badge" transform={`translate(${x + width - 4} ${y + 4})`}>
          <circle r="11" />
          <path d="M-4.5 -4.5 l9 9 M4.5 -4.5 l-9 9" />
        </g>
      )}
    </g>
  )
}

function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches)
  useEffect(() => {
    const media = matchMedia(query)
    const changed = (): void => setMatches(media.matches)
    changed()
    media.addEventListener('change', changed)
    return () => media.removeEventListener('change', changed)
  }, [query])
  return matches
}
