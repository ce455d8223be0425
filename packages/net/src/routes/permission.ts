import { type NatError, natError } from '@postern/interface'

/**
 * Returns a `NOT_PERMITTED` error if the runtime itself refused access: Deno without a permission, or Node.js with
 * `--permission`. Their messages name the missing permission. Returns undefined for all other errors.
 */
export function notPermitted(error: unknown): NatError | undefined {
  if (!(error instanceof Error)) return undefined
  const isNode = 'code' in error && error.code === 'ERR_ACCESS_DENIED'
  if (!isNode && error.name !== 'NotCapable') return undefined
  const flags = isNode ? 'node --permission --allow-fs-read=*' : 'deno run --allow-all'
  return natError(
    'NOT_PERMITTED',
    `the runtime does not let this program inspect the network (${error.message}): start it with ${flags}`,
    { cause: error }
  )
}
