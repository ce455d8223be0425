// Builds docs/reference/limits.md from the constants and the options of the packages. Used by docs.mjs.
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

/** The packages with limits. Those that are missing do not talk to the network: testkit, conformance, the lab. */
const packages = [
  ['interface', 'Addresses and text, in every package'],
  ['net', 'The network of this host, HTTP'],
  ['core', 'The ladder'],
  ['pcp', 'PCP'],
  ['nat-pmp', 'NAT-PMP'],
  ['upnp', 'UPnP'],
  ['stun', 'STUN'],
  ['witness', 'Witnesses, as a client and as a server'],
  ['ssh', 'Ports of another host through SSH'],
  ['bore', 'Ports of a bore server'],
  ['manual', 'Manual forwards'],
  ['libp2p-utils', 'Helpers for libp2p'],
  ['autonat', 'AutoNAT, as a client and as a server'],
  ['relay', 'Relays, as a client and as a server'],
  ['hole-punch', 'Hole punching'],
  ['libp2p', 'The libp2p service'],
  ['node', 'Plain Node servers, files'],
  ['status', 'The status page'],
  ['nat-api', 'The API of nat-api'],
  ['cli', 'The command `postern`']
]
const isBound = /^(?:(?:max|min|most|least|longest)(?:[A-Z]|$)|\w*(?:Ms|Seconds|Bytes|Length|Limits|Depth)$)/
/** Units of time, and sizes that a format fixes. */
const isUnit = /^(?:minute|hour|day|latestDate|header|map|nonce|id|ping|greeting)(?:Ms|Seconds|Bytes|Length)$/

/** @param {{ root: string, parse: (file: string) => ts.SourceFile, cell: (text?: string) => string, textOf: (comment: unknown) => string }} tools */
export function limitsPage(tools) {
  const lines = [
    '# Limits',
    '',
    'Every bound on size, number and time, and where it is set. Options and the policy can be changed; the other bounds are fixed.',
    'Times are in milliseconds and sizes in bytes, unless the name says otherwise. What `postern relay` allows to each peer, address and',
    'network is in [running a relay](../guides/running-a-relay.md). Written by `scripts/docs.mjs` from the code.'
  ]
  for (const [name, title] of packages) {
    const files = sourcesOf(tools.root, name)
    const options = files.flatMap((file) => optionsOf(file, tools))
    const constants = files.flatMap((file) => constantsOf(file, tools))
    if (options.length + constants.length === 0) continue
    lines.push('', `## @postern/${name}: ${title}`)
    if (options.length > 0) lines.push('', '| option | default | what it is |', '|---|---|---|', ...options)
    if (constants.length > 0)
      lines.push('', '| fixed | value | what it is | where |', '|---|---|---|---|', ...constants)
  }
  return `${lines.join('\n')}\n`
}

function sourcesOf(root, name) {
  const folder = path.join(root, 'packages', name, 'src')
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `packages/${name}/src/${file.replaceAll('\\', '/')}`)
    .toSorted()
}

/** Returns the rows of interface members with a number as their default. */
function optionsOf(file, { parse, cell, textOf }) {
  const rows = []
  for (const node of parse(file).statements) {
    if (!ts.isInterfaceDeclaration(node)) continue
    for (const member of node.members) {
      const [comment] = member.jsDoc ?? []
      const tag = comment?.tags?.find(({ tagName }) => tagName.text === 'default')
      const value = textOf(tag?.comment)
      if (/^[{\d]/.test(value))
        rows.push(
          `| \`${node.name.text}.${member.name.getText()}\` | ${cell(value)} | ${cell(textOf(comment?.comment))} |`
        )
    }
  }
  return rows
}

/** Returns the rows of module constants that consist of numbers and have the name of a bound. */
function constantsOf(file, { parse, cell, textOf }) {
  const source = parse(file)
  const short = file.replace(/^packages\/[^/]+\/src\//, '')
  return source.statements.flatMap((node) => {
    if (!ts.isVariableStatement(node)) return []
    const comment = textOf(node.jsDoc?.at(-1)?.comment) || lineComment(source, node)
    return node.declarationList.declarations.flatMap((each) => {
      const name = each.name.getText()
      const value = each.initializer && valueOf(each.initializer)
      if (!isBound.test(name) || isUnit.test(name) || value === undefined) return []
      const text = comment === '' ? wordsOf(name) : comment
      return [`| \`${name}\` | ${cell(value)} | ${cell(text)} | ${short} |`]
    })
  })
}

/** Returns the one-line comment before or after a statement. */
function lineComment(source, node) {
  const ranges = [
    ...(ts.getLeadingCommentRanges(source.text, node.getFullStart()) ?? []),
    ...(ts.getTrailingCommentRanges(source.text, node.end) ?? [])
  ]
  const lines = ranges.map(({ pos, end }) => source.text.slice(pos, end)).filter((text) => text.startsWith('//'))
  return lines.map((text) => text.slice(2).trim()).join(' ')
}

const wordsOf = (name) =>
  name.replace(/(?:Ms|Seconds)$/, '').replaceAll(/([A-Z])/g, (_, letter) => ` ${letter.toLowerCase()}`)

/** Returns a number, or an object or a list of numbers, as text; undefined for everything else. */
function valueOf(node) {
  if (ts.isAsExpression(node) || ts.isSatisfiesExpression(node) || ts.isParenthesizedExpression(node))
    return valueOf(node.expression)
  if (ts.isObjectLiteralExpression(node)) {
    const parts = node.properties.map((each) => {
      const value = ts.isPropertyAssignment(each) ? valueOf(each.initializer) : undefined
      return value === undefined ? undefined : `${each.name.getText()} ${value}`
    })
    return parts.length === 0 || parts.includes(undefined) ? undefined : parts.join(', ')
  }
  if (ts.isArrayLiteralExpression(node)) {
    const parts = node.elements.map(valueOf)
    return parts.length === 0 || parts.includes(undefined) ? undefined : parts.join(', ')
  }
  const number = numberOf(node)
  return number === undefined ? undefined : number >= 1e21 ? String(number) : number.toLocaleString('en-US')
}

function numberOf(node) {
  if (ts.isParenthesizedExpression(node)) return numberOf(node.expression)
  if (ts.isNumericLiteral(node)) return Number(node.text)
  if (!ts.isBinaryExpression(node)) return undefined
  const [left, right] = [numberOf(node.left), numberOf(node.right)]
  if (left === undefined || right === undefined) return undefined
  const operators = { '*': left * right, '+': left + right, '-': left - right, '**': left ** right, '/': left / right }
  return operators[node.operatorToken.getText()]
}
