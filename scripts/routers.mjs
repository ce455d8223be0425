// Builds docs/reference/routers.md from the personalities of the built testkit. Used by docs.mjs.
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const titles = {
  slow: 'Slow, or one thing at a time',
  leases: 'Leases that change, expire or are refused',
  refusals: 'Refusals',
  lists: 'Requests that are answered wrongly, or not at all',
  descriptions: 'Hard to find, or described in their own way',
  wan: 'External addresses',
  'port-control': 'PCP and NAT-PMP',
  restarts: 'Restarts and clocks',
  ipv6: 'Pinholes for IPv6'
}

/** @param {{ root: string, cell: (text?: string) => string }} tools */
export async function routersPage({ root, cell }) {
  const built = path.join(root, 'packages', 'testkit', 'dist', 'index.js')
  const { personalityGroups } = await import(pathToFileURL(built).href)
  const lines = [
    '# Routers',
    '',
    'Routers of public reports: what is odd about each, and what Postern does. Each is data in `@postern/testkit`',
    '(`personalities`). `npm test` runs PCP, NAT-PMP and UPnP, in this order, against each of them for three hours of virtual',
    'time, sends a packet from the internet every seven seconds, and checks after the stop that nothing is forwarded.',
    'Written by `scripts/docs.mjs` from the data.'
  ]
  for (const [group, routers] of Object.entries(personalityGroups)) {
    lines.push(
      '',
      `## ${titles[group] ?? group}`,
      '',
      '| router | what is odd | mapped by | what Postern does | source |',
      '|---|---|---|---|---|'
    )
    for (const { name, oddity, source, expected } of routers)
      lines.push(`| \`${name}\` | ${cell(oddity)} | ${outcome(expected)} | ${cell(expected.does)} | ${link(source)} |`)
  }
  return `${lines.join('\n')}\n`
}

function outcome({ mappedBy, reached, cause }) {
  if (mappedBy === null) return cause === null ? 'no' : `no: \`${cause}\``
  return reached ? mappedBy : `${mappedBy}, and not reached: \`${cause}\``
}

/** `owner/name #1` for issues, else the last words of the address. */
function link(source) {
  const [, repository, number] = /^https:\/\/github\.com\/([^/]+\/[^/]+)\/(?:issues|pull)\/(\d+)$/.exec(source) ?? []
  if (repository !== undefined) return `[${repository} #${number}](${source})`
  const rfc = /rfc(\d+)(?:\.html)?#section-([\d.]+)$/.exec(source)
  if (rfc !== null) return `[RFC ${rfc[1]} §${rfc[2]}](${source})`
  return `[${source.split('/').at(-1)}](${source})`
}
