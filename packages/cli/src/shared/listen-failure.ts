import { errorText } from '@postern/interface'

/** Returns why a server cannot listen, as a sentence. */
export function listenFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') return 'another program has the port.'
  if (code === 'EACCES') return 'this user may not listen on the port.'
  if (code === 'EADDRNOTAVAIL') return 'this machine does not have the address.'
  return errorText(error)
}
