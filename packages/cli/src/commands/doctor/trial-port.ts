import { createServer } from 'node:net'
import { programAt } from './neighbourhood/program-at.js'

/** Returns the port of a manual forward in the text of `--via`, if there is one. It leads to the same port of this
 * host, unless the user names another one. */
export function forwardedPort(via: string): number | undefined {
  const found = /(?:^|,)\s*manual:(?:[^,]*:)?(\d{1,5})\s*(?:,|$)/.exec(via)?.[1]
  return found === undefined ? undefined : Number(found)
}

/** Returns whether the text of `--via` names a strategy. */
export const names = (via: string, strategy: 'stun' | 'witness'): boolean =>
  via.split(',').some((part) => part.trim().startsWith(`${strategy}:`))

/** Resolves to why this program cannot listen on a TCP port; undefined if it can. */
export function whyNotListening(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(whoListens(port))
      else if (error.code === 'EACCES') resolve(`this user may not listen on TCP port ${port}`)
      else resolve(error.message)
    })
    server.listen(port, () => server.close(() => resolve(undefined)))
  })
}

async function whoListens(port: number): Promise<string> {
  const program = await programAt('tcp', port)
  const text = `another program of this host listens on TCP port ${port}`
  return program === null ? text : `${text}: ${program}`
}
