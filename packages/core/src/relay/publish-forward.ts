import { type Lease, type NatError, parseMultiaddr } from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Context, ShutdownScope } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { type WantedEndpoint, withSuffix } from '../discovery/endpoints.js'
import { type EventReason, eventReason, type MappingEventName } from '../model/events.js'
import { relayReport } from './demand.js'
import type { Forward } from './keep-forward.js'

/** Makes the ports of other hosts known: as candidates, as events, and in the line of the strategy. */
export interface ForwardPublisher {
  /** Publishes a new lease, or a renewed one and its predecessor. */
  publish(forward: Forward, before: Lease | undefined): void
  /** Withdraws the addresses of a forward that has ended.
   *
   * @param why - why it has lapsed; undefined if it is released */
  withdraw(forward: Forward, why?: NatError): void
  tell(event: MappingEventName, forward: Forward, why?: NatError): void
  /** Reports that no port could be taken for an endpoint. */
  tellFailure(want: WantedEndpoint, reasons: readonly EventReason[]): void
  /** Gives a lease back. Resolves with whether that was confirmed. */
  release(entry: StrategyEntry, lease: Lease, shutdown: ShutdownScope): Promise<boolean>
  /** Returns the external address and port of a forward. */
  external(forward: Forward): { readonly address: string; readonly port: number }
}

export function createForwardPublisher({ host, policy, bus, requests, candidates }: Context): ForwardPublisher {
  function external({ lease }: Forward): { readonly address: string; readonly port: number } {
    const { address = '', port = 0 } = parseMultiaddr(lease.addresses[0] ?? '') ?? {}
    return { address, port }
  }

  function tell(event: MappingEventName, forward: Forward, why?: NatError): void {
    const { entry, endpoint, lease } = forward
    const { protocol, address, port } = endpoint
    bus.emit('mapping', {
      event,
      strategy: entry.name,
      protocol,
      internal: { address, port },
      external: external(forward),
      lifetimeSeconds: lease.lifetimeMs === Number.POSITIVE_INFINITY ? null : lease.lifetimeMs / 1000,
      ...(why === undefined ? {} : { reasons: [eventReason(entry.name, why)] })
    })
  }

  return {
    tell,
    external,
    publish(forward, before) {
      const { entry, forwarder, want, endpoint, lease } = forward
      if (before === undefined) entry.status.leaseAdded()
      bus.emit('lease', { strategy: entry.name, change: before === undefined ? 'granted' : 'renewed', code: null })
      entry.status.granted(lease.caveat)
      const isSame = before !== undefined && before.addresses.join() === lease.addresses.join()
      if (before !== undefined && !isSame)
        for (const each of before.addresses) candidates.withdraw(withSuffix(each, want))
      const expiresAt = lease.lifetimeMs === Number.POSITIVE_INFINITY ? null : host.clock.wallMs() + lease.lifetimeMs
      for (const each of lease.addresses) {
        const address = withSuffix(each, want)
        if (isSame) candidates.extend(address, expiresAt)
        else
          candidates.put({
            address,
            type: 'relayed',
            strategy: entry.name,
            endpoint,
            mapper: null,
            expiresAt,
            relay: {
              ...relayReport(forwarder.party, lease.limits),
              isEncrypted: forwarder.isEncrypted,
              tellsClients: forwarder.tellsClients
            }
          })
      }
      tell(before === undefined ? 'mapped' : isSame ? 'renewed' : 'changed', forward)
    },
    withdraw({ entry, want, lease }, why) {
      entry.status.leaseRemoved()
      const change = why === undefined ? 'released' : 'lapsed'
      bus.emit('lease', { strategy: entry.name, change, code: why?.code ?? null })
      for (const address of lease.addresses) candidates.withdraw(withSuffix(address, want))
    },
    tellFailure({ endpoint: { protocol, address, port } }, reasons) {
      bus.emit('mapping', {
        event: 'failed',
        strategy: null,
        protocol,
        internal: { address, port },
        external: null,
        lifetimeSeconds: null,
        reasons
      })
    },
    async release(entry, lease, shutdown) {
      try {
        const subject = { strategy: entry.name, verb: 'release' } as const
        await requests.attempt(subject, (bounded) => lease.release(bounded), policy.requestTimeoutMs, shutdown)
        return true
      } catch (error) {
        host.log.debug(`${entry.name}: a port was not given back: ${asNatError(error).message}`)
        return false
      }
    }
  }
}
