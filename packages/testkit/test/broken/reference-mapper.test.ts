import type { Finding, MapRequest } from '@postern/interface'
import { expect, it } from 'vitest'
import { type ReferenceTable, referenceMapper, referenceTable, virtualClock } from '../../src/index.js'

const request: MapRequest = {
  endpoint: { protocol: 'tcp', family: 4, address: '192.168.1.10', port: 8080 },
  suggestedExternalPort: 8080,
  lifetimeMs: 7_200_000,
  key: new Uint8Array(16)
}
const call = { signal: new AbortController().signal }

async function discovered(
  prepare: (table: ReferenceTable) => void = () => undefined
): Promise<{ readonly table: ReferenceTable; readonly found: readonly Finding[] }> {
  const clock = virtualClock()
  const table = referenceTable({ clock })
  prepare(table)
  const found: Finding[] = []
  const log = { debug: () => undefined, info: () => undefined }
  const stop = new AbortController()
  const discovery = referenceMapper(table)({ clock, random: () => 0.5, log })
  const ended = discovery.discover(table.network, (finding) => found.push(finding), stop)
  await clock.advance(2000)
  stop.abort()
  await ended
  expect(clock.pending).toBe(0)
  return { table, found }
}

it('map rejects an endpoint of another family', async () => {
  const { table, found } = await discovered()
  const [mapper] = found
  if (mapper?.kind !== 'mapper') throw new Error('no mapper was found')
  const other: MapRequest = { ...request, endpoint: { ...request.endpoint, family: 6, address: '2001:db8::1' } }
  await expect(mapper.map(other, call)).rejects.toThrow(TypeError)
  expect(table.log).toEqual(['probe'])
})

it('discover reports an absent gateway after a second and continues to wait', async () => {
  const { found } = await discovered((table) => table.behave('silent'))
  expect(found).toMatchObject([{ kind: 'notice', what: 'absent', reason: { code: 'NO_REPLY' } }])
})
