import { abortReason, type CallOptions } from '@postern/interface'

/** Tasks that live and end together. */
export interface TaskGroup extends CallOptions {
  /** Starts a task. Where it rejects, the signal of the group aborts and the whole group rejects with the same
   * reason. */
  start(task: () => Promise<unknown>): void
  /** Fails the group, as a task that rejects with the error does. For callbacks, which have no promise to reject. */
  fail(error: unknown): void
}

const over = abortReason('the task group is over')

/**
 * Runs `main` and every task that it starts. Resolves with the result of `main` after the last task has ended.
 *
 * Rejects with the first failure, of `main` or of a task, after all of them have ended. No rejection of a task goes
 * unhandled, even if nothing awaits the task at that moment. The signal of the group aborts with the caller's signal,
 * with the first failure, and when `main` has returned; what a task throws after that is not a failure.
 */
export async function taskGroup<T>({ signal }: CallOptions, main: (group: TaskGroup) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const follow = (): void => controller.abort(signal.reason)
  if (signal.aborted) follow()
  else signal.addEventListener('abort', follow, { once: true })
  const tasks = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | undefined

  function fail(error: unknown): void {
    if (controller.signal.aborted) return
    failure = { error }
    controller.abort(error)
  }
  async function run(task: () => Promise<unknown>): Promise<void> {
    try {
      await task()
    } catch (error) {
      fail(error)
    }
  }
  const group: TaskGroup = {
    signal: controller.signal,
    fail,
    start(task) {
      const work = run(task).then(() => void tasks.delete(work))
      tasks.add(work)
    }
  }

  try {
    const result = await main(group)
    if (failure !== undefined) throw failure.error
    return result
  } catch (error) {
    throw failure === undefined ? error : failure.error
  } finally {
    controller.abort(over)
    while (tasks.size > 0) await Promise.all(tasks)
    signal.removeEventListener('abort', follow)
  }
}
