import { type CallOptions, type Clock, isNatError } from '@postern/interface'

/** Asks a router to delete what a request may have made, waiting so long after each sending. */
export type Undo = (call: CallOptions, waitsMs: readonly number[]) => Promise<unknown>

/** An aborted request is undone within the 500 ms that the contract allows. */
const abortedUndoMs = 450
/** Of these, how long to wait after each sending: what is left of them counts. */
const abortedWaitsMs = [75, 125, 250]

/** Made once: an abort without a reason makes a new error with its stack. */
const tooLate = new Error('undoing takes too long')

/** Deletes what a request may have made, whose signal has aborted. What takes longer is for `Mapper.undo`. Never rejects. */
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

/** Deletes what a request may have made. Whether the router has confirmed it. */
export async function isUndone(undo: Undo, call: CallOptions, waitsMs: readonly number[]): Promise<boolean> {
  try {
    await undo(call, waitsMs)
    return true
  } catch (error) {
    if (!isNatError(error) && !call.signal.aborted) throw error
    return false
  }
}
