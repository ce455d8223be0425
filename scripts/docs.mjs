// Writes the parts of the documentation that are taken from the code: docs/reference/errors.md, docs/reference/policy.md,
// docs/reference/limits.md, docs/reference/routers.md (from the built testkit), docs/reference/metrics.md (from the built
// core), the option tables of READMEs, between <!-- options X --> and <!-- /options -->, docs/adr/README.md and llms.txt.
//
//   node scripts/run.mjs node scripts/docs.mjs            writes
//   node scripts/run.mjs node scripts/docs.mjs --check    writes nothing; names what is out of date, and fails
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { decisionsPage } from './decisions.mjs'
import { limitsPage } from './limits.mjs'
import { llmsText } from './llms.mjs'
import { metricsPage } from './metrics.mjs'
import { routersPage } from './routers.mjs'

const root = path.dirname(import.meta.dirname)
const read = (file) => readFileSync(path.join(root, file), 'utf8')
const parse = (file) => ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true)

const files = new Map([
  ['docs/reference/errors.md', errorsPage()],
  ['docs/reference/policy.md', policyPage()],
  ['docs/reference/limits.md', limitsPage({ root, parse, cell, textOf })],
  ['docs/reference/routers.md', await routersPage({ root, cell })],
  ['docs/reference/metrics.md', await metricsPage({ root, cell })],
  ['docs/adr/README.md', decisionsPage(root)],
  ['llms.txt', llmsText(root)],
  ...readdirSync(path.join(root, 'packages'))
    .filter((name) => existsSync(path.join(root, 'packages', name, 'README.md')))
    .map((name) => [`packages/${name}/README.md`, withOptions(name)])
])
const stale = [...files].filter(([file, text]) => !existsSync(path.join(root, file)) || read(file) !== text)
if (process.argv.includes('--check')) {
  for (const [file] of stale) console.error(`${file} is out of date: node scripts/run.mjs node scripts/docs.mjs`)
  process.exitCode = stale.length > 0 ? 1 : 0
} else {
  for (const [file, text] of stale) writeFileSync(path.join(root, file), text)
  console.log(stale.length > 0 ? stale.map(([file]) => file).join('\n') : 'all up to date')
}

/** Returns the page of the registry, in the groups that the comments of its source make. */
function errorsPage() {
  const source = parse('packages/interface/src/error-meanings.ts')
  const codes = find(source, (node) => ts.isVariableDeclaration(node) && node.name.getText() === 'errorCodes')
  const lines = [
    '# Error codes',
    '',
    'Every error of the network is a `NatError` with one of these codes. Compare',
    '`error.code`, never the message or the class: two copies of a package may be installed. `isNatError` of',
    '`@postern/interface` recognises one. A programming mistake is a `TypeError` without a code.',
    '',
    'Reports and events carry the code with a message about the particular case. This page is written by',
    '`scripts/docs.mjs` from `packages/interface/src/error-meanings.ts`.'
  ]
  for (const entry of codes.initializer.properties) {
    const comment = ts.getLeadingCommentRanges(source.text, entry.getFullStart())?.[0]
    if (comment) {
      const title = source.text
        .slice(comment.pos + 2, comment.end)
        .trim()
        .replace(/\.$/, '')
      lines.push('', `## ${title}`, '', '| code | what it means | what to do |', '|---|---|---|')
    }
    const texts = Object.fromEntries(
      entry.initializer.properties.map((each) => [each.name.getText(), each.initializer.text])
    )
    lines.push(`| \`${entry.name.getText()}\` | ${cell(texts.meaning)} | ${cell(texts.advice)} |`)
  }
  return `${lines.join('\n')}\n`
}

function policyPage() {
  const lines = [
    '# The policy',
    '',
    'The limits and intervals of the ladder. Each can be replaced: `expose(server, { policy: { lifetimeMs: 3_600_000 } })`,',
    'or `createTraversal({ strategies, policy: { quorum: 3, relay: { count: 1 } } })`. All times are in milliseconds.',
    'This page is written by `scripts/docs.mjs` from `packages/core/src/model/policy.ts`.',
    '',
    table('core', 'Policy'),
    '',
    '## `relay`',
    '',
    table('core', 'RelayPolicy')
  ]
  return `${lines.join('\n')}\n`
}

function withOptions(name) {
  return read(`packages/${name}/README.md`).replaceAll(
    /<!-- options (\w+) -->\n[^]*?<!-- \/options -->/g,
    (_, type) => `<!-- options ${type} -->\n${table(name, type)}\n<!-- /options -->`
  )
}

/** Returns a table of the members of an interface, with their comments. */
function table(name, type) {
  const sources = readdirSync(path.join(root, 'packages', name, 'src'), { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts')
  )
  for (const file of sources) {
    const source = parse(`packages/${name}/src/${file}`)
    const declared = find(source, (node) => ts.isInterfaceDeclaration(node) && node.name.text === type)
    if (!declared) continue
    const partial = declared.members.some(({ questionToken }) => questionToken)
    const rows = declared.members.map((member) => {
      const [comment] = member.jsDoc ?? []
      const tag = comment?.tags?.find(({ tagName }) => tagName.text === 'default')
      const fallback = tag ? textOf(tag.comment) : partial && !member.questionToken ? 'required' : ''
      return `| \`${member.name.getText()}\` | ${cell(textOf(comment?.comment))} | ${cell(fallback)} |`
    })
    return ['| option | what it is | default |', '|---|---|---|', ...rows].join('\n')
  }
  throw new Error(`packages/${name} has no interface ${type}`)
}

function textOf(comment) {
  const text = ts.getTextOfJSDocComment(comment) ?? ''
  return text.replaceAll(/\{@link (\w+)\}/g, '`$1`')
}

/** Returns a text as one line that does not end the cell and is not taken for HTML. */
function cell(text = '') {
  const line = text
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll('|', '\\|')
    .trim()
  const parts = line.split('`').map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
  return parts.join('`')
}

function find(node, is) {
  return is(node) ? node : ts.forEachChild(node, (child) => find(child, is))
}
