import { writeFile } from 'node:fs/promises'
import { canDelay, tiers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { type Cell, cellDelayMs, drawMatrix, tryCell } from './support/matrix.js'

const delays = await canDelay()

/** The file to write, from the command that generates docs/reference/nat-matrix.md. */
const page = process.env['POSTERN_MATRIX_PAGE']

const pageOf = (cells: readonly Cell[]): string => `# Connections between kinds of NAT

This command generates the page; do not edit it by hand:

\`\`\`sh
npm run matrix
\`\`\`

Two homes in the lab, both with \`natTraversal()\` and its default strategies, and three public peers. One home has dialled
the other through a relay. The table shows how they were then connected directly, and how long after the relayed
connection. The path from each home to the internet takes ${cellDelayMs} ms. Routers drop unsolicited packets.

- **open**: a public address. **home**: a router that keeps ports, admits replies only, and maps ports by PCP, NAT-PMP and
  UPnP. **symmetric**: a different port for each destination, and no mapping service. **carrier**: a NAT that keeps ports,
  behind a second one, and no mapping service.
- **direct**: by hole punching, or to a public home. **mapped**: through a mapped port of either side. **relayed**: the
  connection stays relayed, for the given cause (README of [@postern/hole-punch](../packages/hole-punch/README.md)).

${drawMatrix(cells)}

${cells.filter(({ how }) => how !== 'relayed').length} of ${cells.length} are direct. With \`birthday\` on both sides, homes behind a symmetric
and a carrier-grade NAT also connect directly.
`

describe.skipIf(!delays.ok)(`two homes on all pairs of tiers${delays.ok ? '' : ` (${delays.reason})`}`, () => {
  it('two homes connect directly in thirteen of sixteen pairs, and report the cause in the others', {
    timeout: 400_000
  }, async () => {
    const cells: Cell[] = []
    for (const home of tiers) for (const home2 of tiers) cells.push(await tryCell(home, home2))
    console.log(drawMatrix(cells))
    if (page !== undefined) await writeFile(page, pageOf(cells))
    const relayed = cells.filter(({ how }) => how === 'relayed')
    expect(relayed.map(({ home, home2, cause }) => `${home} ${home2}: ${cause}`).toSorted()).toEqual([
      'carrier symmetric: symmetric-one',
      'symmetric carrier: symmetric-one',
      'symmetric symmetric: symmetric-both'
    ])
  })
})
