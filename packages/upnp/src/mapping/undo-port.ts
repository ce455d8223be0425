import type { CallOptions, Host, MapRequest } from '@postern/interface'
import type { Client } from '../device/client.js'
import { type Addition, reservedPort } from './add-port.js'
import type { OpenEnd, OpenEnds } from './open-ends.js'
import { removeEntry } from './port-entry.js'
import { abortedTime, undoChanges } from './undo.js'

/** The time after which an unanswered addition has been carried out or never will be, in ms. */
const carriedOutMs = 6000

/** A request to undo. */
export interface Undoing {
  readonly client: Client
  readonly host: Host
  readonly openEnds: OpenEnds
  readonly request: MapRequest
}

/** Deletes the entries that a request added, or may have added: within the 500 ms of the contract if it was aborted,
 * otherwise within three answer times of the router. Records in `openEnds` what was not confirmed. Resolves to whether
 * everything was confirmed. */
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

/** Deletes the entries that a request may have created. An unanswered addition may still be carried out after the
 * deletion, so it deletes that entry again 6 s after the addition. */
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
