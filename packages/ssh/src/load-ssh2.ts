import { natError } from '@postern/interface'
import type * as Module from 'ssh2'

/** What is used of the module ssh2. */
export type Ssh2 = Pick<typeof Module, 'Client' | 'utils'>

/** Loads ssh2, which the user installs. Rejects with `UNSUPPORTED` if it is missing. */
export async function loadSsh2(): Promise<Ssh2> {
  try {
    const { default: module } = await import('ssh2')
    return module
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND')
      throw natError('UNSUPPORTED', 'the strategy ssh needs the package ssh2: run `npm install ssh2`', { cause })
    throw cause
  }
}
