import { once } from 'node:events'
import { createServer } from 'node:net'
import {
  type CallOptions,
  type Forwarder,
  type ForwardLease,
  formatMultiaddr,
  natError,
  networkPrefixOf,
  orAborted,
  type RemoteParty,
  type Strategy
} from '@postern/interface'
import { createCarrier } from '@postern/net'
import { listening, portOf, startSsh as start } from './ssh-child.ts'

/** `ssh -R`: a port of a server of ours leads to this machine. Its sshd needs `GatewayPorts clientspecified`. */
export function ssh(destination: string, address: string, startSsh: typeof start = start): Strategy {
  const party: RemoteParty = { id: destination, network: networkPrefixOf(address) ?? '' }
  return (host) => {
    const forwarder: Forwarder = {
      kind: 'forwarder',
      party,
      protocols: ['tcp'],
      isEncrypted: true,
      tellsClients: false,
      async forward({ endpoint, suggestedExternalPort: port }, call) {
        call.signal.throwIfAborted()
        if (endpoint.protocol !== 'tcp') throw natError('UNSUPPORTED', 'ssh forwards TCP only')
        // ssh connects to this listener, and the carrier from here to the endpoint.
        const carrier = createCarrier({ host, party, endpoint })
        const arrivals = createServer({ allowHalfOpen: true }, (stream) => carrier.carry({ stream, client: null }))
        await once(arrivals.listen(0, '127.0.0.1'), 'listening')
        const child = startSsh(['-R', `*:${port}:127.0.0.1:${portOf(arrivals)}`, destination])
        const ended = new AbortController()
        let isReleased = false
        const closed = new Promise<void>((resolve) => child.once('close', () => resolve())).then(() => {
          arrivals.close()
          if (!isReleased) ended.abort(natError('MAPPING_LOST', `ssh to ${destination} has ended`))
        })
        const release = async (): Promise<void> => {
          isReleased = true
          child.kill()
          await closed
        }
        // ssh only says that the server listens. A firewall or GatewayPorts may keep clients out: try it.
        const check = (checked: CallOptions): Promise<void> => carrier.tryOut({ address, port }, checked)
        try {
          await orAborted(listening(child), call)
          await check(call)
        } catch (error) {
          await release()
          throw error
        }
        const lease: ForwardLease = {
          addresses: [formatMultiaddr(address, 'tcp', port)],
          lifetimeMs: Number.POSITIVE_INFINITY,
          ended: ended.signal,
          async renew(renewed) {
            if (child.exitCode !== null || child.signalCode !== null)
              throw natError('MAPPING_LOST', `ssh to ${destination} has ended`)
            await check(renewed)
            return lease
          },
          release
        }
        return lease
      }
    }
    return {
      name: 'ssh-r',
      kind: 'forwarder',
      async discover(_network, found, { signal }) {
        if (!signal.aborted) found(forwarder)
      }
    }
  }
}
