import { writeFile } from 'node:fs/promises'
import { canDelay, tiers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { type Cell, cellDelayMs, drawMatrix, tryCell } from './support/matrix.js'

const delays = await canDelay()

/** The command that writes docs/nat-matrix.md names it here. */
const page = process.env['POSTERN_MATRIX_PAGE']

const pageOf = (cells: readonly Cell[]): string => `# Who reaches whom

Written by this command, nothing here is edited by hand:

\`\`\`sh
npm run matrix
\`\`\`

Two homes in the lab, both with \`natTraversal()\` and its default ladder, and three public peers. One home has dialled the
other through a relay; the table says how they were connected directly, and how long after the relayed connection. The way
from each home to the internet takes ${cellDelayMs} ms. Routers drop what they do not expect.

- **open**: a public address. **home**: a router that keeps ports, lets in only whom something was sent to, and maps ports by
  PCP, NAT-PMP and UPnP. **symmetric**: another port for each destination, and no mapping service. **carrier**: a NAT that keeps
  ports, behind a second one, and no mapping service.
- **direct**: punched, or one of the two is public. **mapped**: through a mapped port of either side. **relayed**: it stays so,
  for the cause beside it (README of [@postern/hole-punch](../packages/hole-punch/README.md)).

${drawMatrix(cells)}

${cells.filter(({ how }) => how !== 'relayed').length} of ${cells.length} are direct. With \`birthday\` on both sides a symmetric and a carrier's NAT meet, too.
`

describe.skipIf(!delays.ok)(`two homes on any tiers${delays.ok ? '' : ` (${delays.reason})`}`, () => {
  it('are connected directly in thirteen of sixteen pairs, and say why not in the others', {
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
