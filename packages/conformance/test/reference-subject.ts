import type { Strategy } from '@postern/interface'
import { type ReferenceTable, referenceTable, virtualClock } from '@postern/testkit'
import { conformance, type Subject, type World } from '../src/index.js'

interface ReferenceWorld extends World {
  readonly table: ReferenceTable
}

/** Returns the subject of a strategy on the reference table of the testkit. */
export const referenceSubject = (strategy: (table: ReferenceTable) => Strategy): Subject<ReferenceWorld> => ({
  create: ({ table }) => strategy(table),
  world() {
    const clock = virtualClock()
    const table = referenceTable({ clock })
    return {
      clock,
      table,
      network: table.network,
      mappings: () => table.rules.map((rule) => ({ ...rule, externalAddress: table.externalAddress })),
      requests: () => table.log.length,
      changes: () => table.log.filter((each) => each !== 'probe').length,
      violations: () => table.log.filter((each) => each.endsWith(' 0')),
      openHandles: () => table.openSockets,
      faults: {
        silence: () => table.behave('silent'),
        refuse: () => table.behave('refusing'),
        occupy: (protocol, port) => table.occupy(protocol, port),
        slow: (ms) => table.delay(ms),
        reboot: () => table.reboot(),
        move: () => table.setExternalAddress('1.2.3.5')
      }
    }
  }
})

/** Resolves with the ids of the tests that a subject fails. */
export async function failures<W extends World>(subject: Subject<W>): Promise<readonly string[]> {
  const failed: string[] = []
  for (const { id, skip, run } of await conformance(subject)) {
    if (skip !== undefined) continue
    await run().catch((error: unknown) => {
      if (process.env.WHY) console.log(id, error instanceof Error ? error.message : error)
      failed.push(id)
    })
  }
  return failed
}
