import { type NatError, natError } from '@postern/interface'

/**
 * Returns `NOT_PERMITTED` where an error says that the runtime itself refuses, whatever the system would allow: Deno without
 * a permission, Node.js with `--permission`. Their messages name what is refused, and Deno's the flag. Undefined for all
 * other errors.
 */
export function notPermitted(error: unknown): NatError | undefined {
  if (!(error instanceof Error)) return undefined
  const isNode = 'code' in error && error.code === 'ERR_ACCESS_DENIED'
  if (!isNode && error.name !== 'NotCapable') return undefined
  const flags = isNode ? 'node --permission --allow-fs-read=*' : 'deno run --allow-all'
  return natError(
    'NOT_PERMITTED',
    `the runtime does not let this program look at the network (${error.message}): start it with ${flags}`,
    { cause: error }
  )
}
