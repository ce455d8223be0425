/**
 * What kept a lab from doing its work.
 *
 * - `LAB_UNSUPPORTED`: this machine cannot give namespaces (or is not Linux)
 * - `LAB_TOOLS`: the tools could not be fetched or unpacked
 * - `LAB_SETUP`: a network, router or daemon did not come up
 * - `LAB_COMMAND`: a command of the lab's own failed in a namespace
 * - `LAB_CLOSED`: the lab was closed, or died
 */
export type LabErrorCode = 'LAB_UNSUPPORTED' | 'LAB_TOOLS' | 'LAB_SETUP' | 'LAB_COMMAND' | 'LAB_CLOSED'

/** Compare `code`; the message says what to do. */
export class LabError extends Error {
  readonly code: LabErrorCode

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LabError'
    this.code = code
  }
}
