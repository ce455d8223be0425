import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Server } from 'node:net'
import type { Readable } from 'node:stream'
import { natError } from '@postern/interface'

type Ssh = ChildProcessByStdio<null, null, Readable>

const options = ['-v', '-N', '-oBatchMode=yes', '-oExitOnForwardFailure=yes', '-oServerAliveInterval=2']

/** Starts ssh with these arguments. */
export const startSsh = (args: readonly string[]): Ssh =>
  spawn('ssh', [...options, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })

/** Resolves once ssh reports that the server listens. Rejects with its last line if it ends. */
export const listening = (child: Ssh): Promise<void> =>
  new Promise((resolve, reject) => {
    let said = ''
    child.once('error', ({ message }) => reject(natError('UNREACHABLE', message)))
    child.once('close', () => reject(natError('CONFLICT', said.trim().split('\n').at(-1) ?? 'ssh has ended')))
    child.stderr.on('data', (text) => {
      said = (said + String(text)).slice(-1000)
      if (said.includes('remote forward success')) resolve()
    })
  })

/** Returns the port of a server that listens. */
export function portOf(server: Server): number {
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}
