/**
 * The reason for a failure of a lab.
 *
 * - `LAB_UNSUPPORTED`: this machine does not allow namespaces (or is not Linux)
 * - `LAB_TOOLS`: the tools could not be fetched or unpacked
 * - `LAB_SETUP`: a network, router or daemon did not start
 * - `LAB_COMMAND`: an internal command of the lab failed in a namespace
 * - `LAB_CLOSED`: the lab was closed, or has ended
 */
export type LabErrorCode = 'LAB_UNSUPPORTED' | 'LAB_TOOLS' | 'LAB_SETUP' | 'LAB_COMMAND' | 'LAB_CLOSED'

/** An error of the lab. Compare `code`; the message says what to do. */
export class LabError extends Error {
  /** The reason. */
  readonly code: LabErrorCode

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LabError'
    this.code = code
  }
}
