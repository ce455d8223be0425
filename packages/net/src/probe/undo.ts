import { abortReason, type CallOptions, type Clock, isNatError } from '@postern/interface'

/** Asks a router to delete the mapping that a request may have created. Waits `waitsMs` after each transmission. */
export type Undo = (call: CallOptions, waitsMs: readonly number[]) => Promise<unknown>

/** How long undoing an aborted request may take, in ms; the contract allows 500 ms. */
const abortedUndoMs = 450
/** How long to wait after each transmission when undoing an aborted request, in ms. */
const abortedWaitsMs = [75, 125, 250]

const tooLate = abortReason('undoing takes too long')

/** Deletes the mapping that an aborted request may have created, within 450 ms; `Mapper.undo` does what takes longer.
 * Never rejects. */
export async function undoAtOnce(undo: Undo, clock: Clock): Promise<void> {
  const over = new AbortController()
  const limit = clock.sleep(abortedUndoMs, over).then(
    () => over.abort(tooLate),
    () => undefined
  )
  await undo(over, abortedWaitsMs).catch(() => undefined)
  over.abort(tooLate)
  await limit
}

/** Deletes the mapping that a request may have created. Resolves to whether the router confirmed it. */
export async function isUndone(undo: Undo, call: CallOptions, waitsMs: readonly number[]): Promise<boolean> {
  try {
    await undo(call, waitsMs)
    return true
  } catch (error) {
    if (!isNatError(error) && !call.signal.aborted) throw error
    return false
  }
}
