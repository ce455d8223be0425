import { type Discovery, type Host, isNotice, type Lease, type Mapper, type Strategy } from '@postern/interface'
import { type BrokenStrategy, type ReferenceTable, referenceMapper } from '@postern/testkit'

type Make = (table: ReferenceTable) => Strategy

const never = { signal: new AbortController().signal }

const withDiscovery =
  (change: (discovery: Discovery, table: ReferenceTable, host: Host) => Discovery): Make =>
  (table) =>
  (host) =>
    change(referenceMapper(table)(host), table, host)

const withMapper = (change: (mapper: Mapper, table: ReferenceTable, host: Host) => Mapper): Make =>
  withDiscovery((discovery, table, host) => ({
    ...discovery,
    discover: (network, found, call) =>
      discovery.discover(
        network,
        (finding) => found(!isNotice(finding) && finding.kind === 'mapper' ? change(finding, table, host) : finding),
        call
      )
  }))

const withMap = (
  map: (mapper: Mapper, table: ReferenceTable, ...args: Parameters<Mapper['map']>) => Promise<Lease>
): Make => withMapper((mapper, table) => ({ ...mapper, map: (request, call) => map(mapper, table, request, call) }))

const withLease = (change: (lease: Lease, table: ReferenceTable, wish: Wish) => Lease): Make =>
  withMap(async (mapper, table, request, call) => change(await mapper.map(request, call), table, wishOf(request)))

type Wish = Parameters<ReferenceTable['map']>[0]
const wishOf = ({ endpoint, ...rest }: Parameters<Mapper['map']>[0]): Wish => ({
  ...rest,
  protocol: endpoint.protocol,
  internalAddress: endpoint.address,
  internalPort: endpoint.port
})

/** Mappers that break the rules that no strategy of the testkit breaks. */
export const brokenMappers: readonly BrokenStrategy[] = [
  {
    name: 'sends a request with an aborted signal',
    breaks: 'discover-aborted-before-does-nothing',
    strategy: withDiscovery((discovery, table) => ({
      ...discovery,
      async discover(network, found, call) {
        if (call.signal.aborted) table.probe(never).catch(() => undefined)
        await discovery.discover(network, found, call)
      }
    }))
  },
  {
    name: 'describes a router in text that a terminal would obey',
    breaks: 'discover-describes-a-router',
    strategy: withDiscovery((discovery) => ({
      ...discovery,
      discover(network, found, call) {
        const [gateway] = network.gateways
        const device = { manufacturer: 'Example', model: '\u001b[2J', name: null }
        if (gateway !== undefined && !call.signal.aborted) found({ kind: 'notice', what: 'described', gateway, device })
        return discovery.discover(network, found, call)
      }
    }))
  },
  {
    name: 'does not report silence',
    breaks: 'discover-says-why-it-finds-nothing',
    strategy: withDiscovery((discovery) => ({
      ...discovery,
      discover: (network, found, call) =>
        discovery.discover(
          network,
          (finding) => {
            if (!isNotice(finding)) found(finding)
          },
          call
        )
    }))
  },
  {
    name: 'finds the gateway only once',
    breaks: 'discover-works-again',
    strategy: withDiscovery((discovery) => {
      let times = 0
      return {
        ...discovery,
        async discover(network, found, call) {
          times += 1
          await discovery.discover(network, times === 1 ? found : () => undefined, call)
        }
      }
    })
  },
  {
    name: 'uses Math.random',
    breaks: 'uses-the-random-of-the-host',
    strategy: withDiscovery((discovery) => ({
      ...discovery,
      async discover(network, found, call) {
        Math.random()
        await discovery.discover(network, found, call)
      }
    }))
  },
  {
    name: 'also has the verb reserve',
    breaks: 'ability-has-one-verb',
    strategy: withMapper((mapper) => ({ ...mapper, reserve: () => Promise.resolve() }))
  },
  {
    name: 'declares a protocol twice',
    breaks: 'mapper-declares-family-and-protocols',
    strategy: withMapper((mapper) => ({ ...mapper, protocols: ['tcp', 'udp', 'tcp'] }))
  },
  {
    name: 'grants an undeclared protocol',
    breaks: 'map-refuses-other-protocols',
    strategy: withMapper((mapper) => ({ ...mapper, protocols: ['tcp'] }))
  },
  {
    name: 'grants an IPv4 mapping to an IPv6 endpoint',
    breaks: 'map-refuses-other-families',
    strategy: withMap((mapper, _, request, call) =>
      mapper.map({ ...request, endpoint: { ...request.endpoint, family: 4 } }, call)
    )
  },
  {
    name: 'keeps a socket open for a mapping',
    breaks: 'map-holds-no-socket',
    strategy: withMap((mapper, table, request, call) => {
      table.openSocket()
      return mapper.map(request, call)
    })
  },
  {
    name: 'requests port 0',
    breaks: 'map-keeps-the-protocol',
    strategy: withMap(async (mapper, table, request, call) => {
      const lease = await mapper.map(request, call)
      // The reference subject counts this as a violation.
      table.unmap({ ...wishOf(request), internalPort: 0 }, never).catch(() => undefined)
      return lease
    })
  },
  {
    name: 'requests the next port',
    breaks: 'map-honours-the-suggested-port',
    strategy: withMap((mapper, _, request, call) =>
      mapper.map(
        {
          ...request,
          suggestedExternalPort: request.suggestedExternalPort === 9234 ? 9235 : request.suggestedExternalPort
        },
        call
      )
    )
  },
  {
    name: 'deletes other mappings to get its port',
    breaks: 'map-leaves-others-alone',
    strategy: withMap((mapper, table, request, call) => {
      if (
        table.rules.some(({ externalPort, key }) => externalPort === request.suggestedExternalPort && key === 'other')
      )
        table.reboot()
      return mapper.map(request, call)
    })
  },
  {
    name: 'takes the port of another process',
    breaks: 'map-leaves-other-processes-alone',
    strategy: withMap((mapper, table, request, call) => {
      const own = Buffer.from(request.key).toString('hex')
      const isTheirs = ({ externalPort, key }: (typeof table.rules)[number]): boolean =>
        externalPort === request.suggestedExternalPort && key !== own && key !== 'other'
      if (table.rules.some(isTheirs)) table.reboot()
      return mapper.map(request, call)
    })
  },
  {
    name: 'waits without a limit to undo an aborted map',
    breaks: 'abort-undoes-in-silence',
    strategy: withMap(async (mapper, table, request, call) => {
      try {
        return await mapper.map(request, call)
      } catch (error) {
        if (call.signal.aborted && table.log.length > 1) await table.probe(never)
        throw error
      }
    })
  },
  {
    name: 'grants a lease without an address',
    breaks: 'lease-has-addresses',
    strategy: withLease((lease) => ({ ...lease, addresses: [] }))
  },
  {
    name: 'grants a lease with a URL',
    breaks: 'lease-has-addresses',
    strategy: withLease((lease) => ({ ...lease, addresses: ['/dns4/example.com/tcp/8080'] }))
  },
  {
    name: 'renews by a probe only',
    breaks: 'renew-extends-the-mapping',
    strategy: withLease((lease, table) => ({
      ...lease,
      async renew(call) {
        // Renews honestly after a change of address or a reboot.
        if (!lease.addresses[0]?.includes(table.externalAddress) || table.rules.length === 0) return lease.renew(call)
        await table.probe(call)
        return { ...lease }
      }
    }))
  },
  {
    name: 'creates a second mapping on renewal',
    breaks: 'renew-keeps-one-mapping',
    strategy: withLease((lease, table, wish) => ({
      ...lease,
      async renew(call) {
        const next = await lease.renew(call)
        await table.map({ ...wish, internalPort: 9, suggestedExternalPort: 9 }, call)
        return next
      }
    }))
  },
  {
    name: 'treats an aborted release as done',
    breaks: 'release-can-be-tried-again',
    strategy: withLease((lease) => {
      let done = false
      return {
        ...lease,
        async release(call) {
          if (done) return
          done = true
          await lease.release(call)
        }
      }
    })
  }
]
