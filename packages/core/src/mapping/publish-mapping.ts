import {
  type Endpoint,
  formatMultiaddr,
  type Lease,
  type Mapper,
  type MultiaddrText,
  type NatError
} from '@postern/interface'
import type { AddressHolder } from '../candidates/address-holders.js'
import type { Context } from '../context.js'
import { gatewayKey, type StrategyEntry } from '../discovery/discoveries.js'
import { type WantedEndpoint, withSuffix } from '../discovery/endpoints.js'
import type { Memory } from '../memory/store.js'
import type { Owner } from '../model/events.js'
import { type EventReason, eventReason, type MappingEvent, type MappingEventName } from '../model/events.js'
import { type Grant, isSameList } from './check-grant.js'

/** A mapping that a gateway has granted, and its origin. */
export interface GrantedMapping extends Grant {
  readonly want: WantedEndpoint
  readonly entry: StrategyEntry
  readonly mapper: Mapper
  readonly endpoint: Endpoint
  readonly memory: Memory
  readonly holder: AddressHolder
}

/** Publishes a mapping: address ownership, candidates, stored memory, events. */
export interface Publisher {
  /** Records that this holder has the lease's addresses. Must be called before another request to the gateway can
   * run. */
  take(lease: Lease, holder: AddressHolder): void
  /** Publishes a lease that was taken: a new one, or the successor of `before`. */
  publish(next: GrantedMapping, before: GrantedMapping | undefined): void
  /** Withdraws the addresses that the next lease does not have. Returns true if no other holder has any of them. */
  withdraw(old: GrantedMapping, next?: GrantedMapping): boolean
  tell(event: MappingEventName, about: GrantedMapping, error?: NatError): void
  /** Reports the other programs of this host that hold the same mapping, if any. */
  tellOwners(about: GrantedMapping, owners: readonly Owner[]): void
  /** Reports that nothing works. */
  reportFailure(want: WantedEndpoint, reasons: readonly EventReason[]): void
}

/** Returns the socket of this host that a mapping leads to in the end. */
const originOf = ({ endpoint, want }: GrantedMapping): Endpoint => want.origin ?? endpoint

const addressOf = ({ address, protocol, port }: Endpoint): MultiaddrText => formatMultiaddr(address, protocol, port)

/** @param emit - emits an event of the mapping to the listeners of the traversal */
export function createPublisher(context: Context, emit: (event: MappingEvent) => void): Publisher {
  const { host, bus, memory, candidates, addressHolders, hostCandidates } = context

  function withdraw(old: GrantedMapping, next?: GrantedMapping): boolean {
    const gone = old.lease.addresses.filter((address) => next?.lease.addresses.includes(address) !== true)
    const last = gone.filter((address) => addressHolders.leave(address, old.holder))
    for (const address of last) {
      candidates.withdraw(withSuffix(address, old.want))
      hostCandidates.restore(withSuffix(address, old.want))
    }
    return last.length === gone.length
  }

  function tell(event: MappingEventName, about: GrantedMapping, error?: NatError, owners: readonly Owner[] = []): void {
    const { entry, external, lease } = about
    const endpoint = originOf(about)
    const details: MappingEvent = {
      event,
      strategy: entry.name,
      protocol: endpoint.protocol,
      internal: { address: endpoint.address, port: endpoint.port },
      external: { address: external.address, port: external.port },
      lifetimeSeconds: lease.lifetimeMs === Number.POSITIVE_INFINITY ? null : lease.lifetimeMs / 1000,
      ...(about.want.origin === undefined
        ? {}
        : { through: { address: about.endpoint.address, port: about.endpoint.port } }),
      ...(error === undefined ? {} : { reasons: [eventReason(entry.name, error)] }),
      ...(owners.length === 0 ? {} : { owners })
    }
    emit(details)
  }

  return {
    withdraw,
    tell,
    tellOwners(about, owners) {
      if (owners.length > 0) tell('shared', about, undefined, owners)
    },
    take(lease, holder) {
      for (const address of lease.addresses) addressHolders.take(address, holder)
    },
    publish(next, before) {
      const { lease, entry, mapper, endpoint } = next
      if (before === undefined) entry.status.leaseAdded()
      const change = before === undefined ? 'granted' : 'renewed'
      bus.emit('lease', { strategy: entry.name, change, code: null })
      entry.status.granted(lease.caveat)
      const isSame = before !== undefined && isSameList(before.lease.addresses, lease.addresses)
      if (!isSame) context.mappingOwners.holds(endpoint, lease.addresses)
      if (before !== undefined && !isSame) withdraw(before, next)
      const expiresAt = lease.lifetimeMs === Number.POSITIVE_INFINITY ? null : host.clock.wallMs() + lease.lifetimeMs
      for (const granted of lease.addresses) {
        const address = withSuffix(granted, next.want)
        const type = mapper.gateway === null ? 'manual' : 'mapped'
        if (isSame && candidates.get(address)?.type === type) candidates.extend(address, expiresAt)
        else {
          const through = next.want.origin === undefined ? null : withSuffix(addressOf(endpoint), next.want)
          candidates.put({ address, type, strategy: entry.name, endpoint: originOf(next), mapper, expiresAt, through })
        }
      }
      const wantedPort = next.want.externalPort ?? null
      const externalPort = next.external.port
      const told = lease.quirks === undefined ? {} : { told: lease.quirks }
      memory.note(next.memory, { strategy: entry.name, externalPort, wantedPort, expiresAt, ...told })
      if (before !== undefined && !isSame && mapper.gateway !== null)
        bus.emit('gatewayChanged', gatewayKey(mapper.gateway))
      tell(before === undefined ? 'mapped' : isSame ? 'renewed' : 'changed', next)
    },
    reportFailure({ endpoint }, reasons) {
      const { protocol, address, port } = endpoint
      emit({
        event: 'failed',
        strategy: null,
        protocol,
        internal: { address, port },
        external: null,
        lifetimeSeconds: null,
        reasons
      })
    }
  }
}
