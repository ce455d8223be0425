/** A lock on a file. It ends when it is released or when the process ends, in whatever way. */
export interface FileLock {
  /** Resolves to whether the lock is still valid; its folder may have been removed. */
  isHeld(): Promise<boolean>
  /** Releases the lock. Idempotent. */
  release(): Promise<void>
}

/** The process that has the lock. */
export interface Holder {
  /** Its process id, in its own namespace; undefined if unknown. */
  readonly holder: number | undefined
}
