import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { formatMultiaddr, type Lease, type Mapper, natError, type Strategy } from '@postern/interface'

type Ssh = ChildProcessByStdio<null, null, Readable>
const options = ['-v', '-N', '-oBatchMode=yes', '-oExitOnForwardFailure=yes', '-oServerAliveInterval=15']
const start = (args: readonly string[]): Ssh => spawn('ssh', args, { stdio: ['ignore', 'ignore', 'pipe'] })

/** `ssh -R`: forwards a port of a server of ours to this machine. Its sshd needs `GatewayPorts clientspecified`. */
export function ssh(destination: string, address: string, startSsh: typeof start = start): Strategy {
  return () => ({
    name: 'ssh',
    kind: 'mapper',
    async discover(_network, found, { signal: stopped }) {
      if (stopped.aborted) return
      const mapper: Mapper = {
        kind: 'mapper',
        gateway: null,
        family: 4,
        protocols: ['tcp'],
        async map({ endpoint, suggestedExternalPort: port }, { signal }) {
          signal.throwIfAborted()
          if (endpoint.family !== 4) throw new TypeError('an IPv4 mapper was given an IPv6 endpoint')
          if (endpoint.protocol !== 'tcp') throw natError('UNSUPPORTED', 'ssh forwards TCP only')
          const child = startSsh([...options, '-R', `*:${port}:${endpoint.address}:${endpoint.port}`, destination])
          const release = ending(child)
          const abort = (): boolean => child.kill()
          signal.addEventListener('abort', abort)
          const failure = await failureOf(child).finally(() => signal.removeEventListener('abort', abort))
          if (signal.aborted || failure !== undefined) await release()
          signal.throwIfAborted()
          if (failure !== undefined) throw natError('CONFLICT', failure)
          child.once('close', () => {
            // The connection broke unexpectedly: this notice has every lease mapped again.
            if (!child.killed && !stopped.aborted) found({ kind: 'notice', what: 'restarted', about: mapper })
          })
          const lease: Lease = {
            addresses: [formatMultiaddr(address, 'tcp', port)],
            lifetimeMs: Number.POSITIVE_INFINITY,
            renew: async () => lease,
            release
          }
          return lease
        }
      }
      found(mapper)
      await once(stopped, 'abort')
    }
  })
}

/** Returns the function that ends ssh, and with it the forward. Idempotent. */
function ending(child: Ssh): () => Promise<void> {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return () => {
    child.kill()
    return closed
  }
}

/** Resolves with undefined once ssh reports that the port is forwarded, or with its last line if it ends. */
const failureOf = (child: Ssh): Promise<string | undefined> =>
  new Promise((resolve) => {
    let said = ''
    child.once('error', ({ message }) => resolve(message))
    child.once('close', () => resolve(said.trim().split('\n').at(-1)))
    child.stderr.on('data', (text) => {
      said = (said + String(text)).slice(-1000)
      if (said.includes('remote forward success')) resolve(undefined)
    })
  })
