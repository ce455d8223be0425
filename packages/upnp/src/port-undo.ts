import type { CallOptions, Host, MapRequest } from '@postern/interface'
import type { Client } from './client.js'
import type { OpenEnd, OpenEnds } from './open-ends.js'
import { removeEntry } from './port-entry.js'
import { type Addition, reservedPort } from './port-addition.js'
import { abortedTime, undoChanges } from './undo.js'

/** After so long an addition that was not answered has been carried out, or never will be, in ms. */
const carriedOutMs = 6000

export interface Undoing {
  readonly client: Client
  readonly host: Host
  readonly openEnds: OpenEnds
  readonly request: MapRequest
}

/** Deletes what a request has added, or may have: within what the contract allows if it was aborted, else for as long as the
 * router takes. What was not confirmed is noted. Whether all of it was confirmed. */
export async function undoAdditions(
  { client, host, openEnds, request: { endpoint }, knownAs }: Undoing & { readonly knownAs: string | undefined },
  additions: readonly Addition[],
  { aborted }: AbortSignal
): Promise<boolean> {
  const time = aborted ? abortedTime : { answerMs: 0, undoMs: client.times.undoMs() }
  const ends = new Map(
    additions.map((addition): [Addition, OpenEnd] => {
      const { externalPort, sentMs } = addition
      return [addition, { externalPort, knownAs, unansweredMs: sentMs }]
    })
  )
  const isUndone = await undoChanges(host.clock, additions, time, async (addition, reply, call) => {
    const externalPort = (reply === undefined ? undefined : reservedPort(reply)) ?? addition.externalPort
    const end = { externalPort, knownAs, unansweredMs: reply === undefined ? addition.sentMs : undefined }
    ends.set(addition, end)
    await removeEntry(client, { ...end, endpoint, isAdded: true }, call)
    if (reply !== undefined) ends.delete(addition)
  })
  openEnds.add(endpoint, [...ends.values()])
  return isUndone
}

/** Deletes what a request may have made. An addition that was not answered may still be carried out, after the deletion: it
 * is looked for again. */
export async function undoMap(undoing: Undoing, call: CallOptions): Promise<void> {
  const { client, host, openEnds, request } = undoing
  const { endpoint, suggestedExternalPort } = request
  const ends = openEnds.of(endpoint)
  const remove = (externalPort: number, end?: OpenEnd): Promise<void> =>
    removeEntry(client, { endpoint, externalPort, knownAs: end?.knownAs, isAdded: end !== undefined }, call)

  if (!ends.some(({ externalPort }) => externalPort === suggestedExternalPort)) await remove(suggestedExternalPort)
  for (const end of ends) await remove(end.externalPort, end)
  for (const end of ends) {
    const leftMs = (end.unansweredMs ?? Number.NEGATIVE_INFINITY) + carriedOutMs - host.clock.monotonicMs()
    if (leftMs <= 0) continue
    await host.clock.sleep(leftMs, call)
    await remove(end.externalPort, end)
  }
  openEnds.clear(endpoint)
}
