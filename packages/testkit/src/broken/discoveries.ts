import { isNotice } from '@postern/interface'
import { type BrokenStrategy, withDiscovery, withMapper } from './change.js'
import { referenceMapper } from './reference-mapper.js'
import type { ReferenceWish } from './reference-table.js'

const never = new AbortController().signal

/** Strategies with a faulty discovery. */
export const brokenDiscoveries: readonly BrokenStrategy[] = [
  {
    name: 'sends packets at construction',
    breaks: 'construct-does-nothing',
    strategy: (table) => (host) => {
      table.probe({ signal: never }).catch(() => undefined)
      return referenceMapper(table)(host)
    }
  },
  {
    name: 'has a name with spaces and capitals',
    breaks: 'name-is-lower-case',
    strategy: withDiscovery((honest) => ({ ...honest, name: 'Reference Mapper' }))
  },
  {
    name: 'finds another kind than it declares',
    breaks: 'discover-finds-the-declared-kind',
    strategy: withDiscovery((honest) => ({ ...honest, kind: 'relay' }))
  },
  {
    name: 'creates a mapping to discover the gateway',
    breaks: 'discover-changes-nothing',
    strategy: withDiscovery((honest, table) => ({
      ...honest,
      async discover(network, found, call) {
        const trial: ReferenceWish = {
          protocol: 'udp',
          internalAddress: '192.168.1.10',
          internalPort: 9,
          suggestedExternalPort: 9,
          lifetimeMs: 60_000,
          key: new Uint8Array(16)
        }
        const tryOut = async (): Promise<void> => {
          await table.map(trial, call)
          await table.unmap(trial, call)
        }
        await honest.discover(
          network,
          (finding) => {
            if (isNotice(finding)) return found(finding)
            tryOut().then(
              () => found(finding),
              () => undefined
            )
          },
          call
        )
      }
    }))
  },
  {
    name: 'reports a finding after a minute',
    breaks: 'discover-finds-at-once',
    strategy: withDiscovery((honest, _, host) => ({
      ...honest,
      discover: (network, found, call) =>
        honest.discover(
          network,
          (finding) => {
            if (isNotice(finding)) return found(finding)
            host.clock.sleep(60_000, call).then(
              () => found(finding),
              () => undefined
            )
          },
          call
        )
    }))
  },
  {
    name: 'reports the same finding repeatedly',
    breaks: 'discover-finds-once',
    strategy: withDiscovery((honest, _, host) => ({
      ...honest,
      discover: (network, found, call) =>
        honest.discover(
          network,
          (finding) => {
            const again = async (): Promise<void> => {
              for (;;) {
                found(isNotice(finding) ? finding : { ...finding })
                await host.clock.sleep(1000, call)
              }
            }
            again().catch(() => undefined)
          },
          call
        )
    }))
  },
  {
    name: 'reports a finding after the abort',
    breaks: 'discover-finds-nothing-after-abort',
    strategy: withDiscovery((honest) => ({
      ...honest,
      discover: (network, found, call) =>
        honest.discover(
          network,
          (finding) => {
            call.signal.addEventListener('abort', () => queueMicrotask(() => found(finding)), { once: true })
            found(finding)
          },
          call
        )
    }))
  },
  {
    name: 'never settles discover',
    breaks: 'discover-settles-on-abort',
    strategy: withDiscovery((honest) => ({
      ...honest,
      async discover(network, found, call) {
        await honest.discover(network, found, call)
        if (network.gateways.length > 0) await new Promise<never>(() => undefined)
      }
    }))
  },
  {
    name: 'keeps its socket open',
    breaks: 'discover-holds-no-socket-after-abort',
    strategy: withDiscovery((honest, table) => ({
      ...honest,
      async discover(network, found, call) {
        table.openSocket()
        await honest.discover(network, found, call)
      }
    }))
  },
  {
    name: 'leaves a timer',
    breaks: 'discover-leaves-no-timer',
    strategy: withDiscovery((honest, _, host) => ({
      ...honest,
      async discover(network, found, call) {
        host.clock.sleep(86_400_000, { signal: never }).catch(() => undefined)
        await honest.discover(network, found, call)
      }
    }))
  },
  {
    name: 'rejects discover without a known code',
    breaks: 'discover-rejects-with-nat-error',
    strategy: withDiscovery((honest) => ({
      ...honest,
      async discover(network, found, call) {
        if (network.gateways.length === 0) throw new Error('no gateway')
        await honest.discover(network, found, call)
      }
    }))
  },
  {
    name: 'reports a gateway that is not in the network',
    breaks: 'mapper-gateway-is-of-the-network',
    strategy: withMapper((honest) => ({
      ...honest,
      gateway: { address: '192.168.1.254', interface: 'eth9', localAddress: '192.168.1.10' }
    }))
  }
]
