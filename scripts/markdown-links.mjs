// Finds the links of a Markdown text. Links in code do not count.

const fence = /^\s*(?:>\s*)*(`{3,}|~{3,})/
const codeSpan = /(?<!`)(?<ticks>`+)(?!`)[^]*?(?<!`)\k<ticks>(?!`)/
const inline = /(?<before>\]\(\s*)(?<target><[^<>\n]*>|(?:[^\s()<>]|\([^\s()]*\))+)(?=(?:\s+(?:"[^"]*"|'[^']*'))?\s*\))/
const definition = /(?<before>^ {0,3}\[[^\]\n]+\]:[ \t]*)(?<target><[^<>\n]*>|\S+)/
const html = /(?<before>\b(?:href|src)=")(?<target>[^"]*)/
const named = (pattern, index) => pattern.source.replaceAll(/(\(\?|k)<(before|target|ticks)>/g, `$1<$2${index}>`)
const token = new RegExp([codeSpan, inline, definition, html].map(named).join('|'), 'gm')

/** Returns the text with each target of a link or image replaced by what `replace` returns for it. */
export function replaceLinks(text, replace) {
  return partsOf(text)
    .map(({ isCode, lines }) => (isCode ? lines : replaceIn(lines, replace)))
    .join('')
}

/** Returns the targets of all links and images, in order. */
export function linksOf(text) {
  const targets = []
  replaceLinks(text, (target) => {
    targets.push(target)
    return target
  })
  return targets
}

function replaceIn(text, replace) {
  return text.replaceAll(token, (...args) => {
    const [all] = args
    const groups = args.at(-1)
    for (const index of [1, 2, 3]) {
      const target = groups[`target${index}`]
      if (target === undefined) continue
      const bare = target.replace(/^<(.*)>$/, '$1')
      const next = replace(bare)
      return next === bare ? all : groups[`before${index}`] + target.replace(bare, () => next)
    }
    return all
  })
}

/** Splits a text into fenced code blocks and the parts between them. */
function partsOf(text) {
  const parts = [{ isCode: false, lines: '' }]
  let open
  for (const line of text.split(/(?<=\n)/)) {
    const [, mark] = fence.exec(line) ?? []
    if (open === undefined && mark !== undefined) {
      open = mark
      parts.push({ isCode: true, lines: line })
    } else {
      parts.at(-1).lines += line
      if (mark?.[0] === open?.[0] && mark?.length >= open?.length && line.trim().endsWith(mark)) {
        open = undefined
        parts.push({ isCode: false, lines: '' })
      }
    }
  }
  return parts
}
