// node index.ts [port]
//
// A ladder built by hand, as a framework would: its own rank and policy, and each strategy wrapped in another one.
import { createServer } from 'node:http'
import { systemHost } from '@postern/core'
import { familyOf, type Host, type Strategy } from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { runTraversal } from '@postern/runtime'
import { upnp } from '@postern/upnp'

/** Wraps a strategy to leave out IPv6. Other findings are passed on unchanged: notices refer to abilities by
 * identity. */
const withoutIpv6 =
  (strategy: Strategy): Strategy =>
  (host) => {
    const inner = strategy(host)
    return {
      ...inner,
      discover({ gateways, addresses }, found, call) {
        const isOld = (address: string): boolean => familyOf(address) === 4
        const network = {
          gateways: gateways.filter(({ address }) => isOld(address)),
          addresses: addresses.filter(isOld)
        }
        return inner.discover(
          network,
          (finding) => {
            if (finding.kind === 'mapper' && finding.family === 6) host.log.info(`${inner.name}: IPv6 is left out`)
            else found(finding)
          },
          call
        )
      }
    }
  }

const host: Host = { ...systemHost, log: { debug: () => undefined, info: (text) => console.log(text) } }
const run = runTraversal({
  host,
  // The order is the rank: UPnP first here, because its mappings can be seen in the router's settings.
  strategies: [upnp(), natPmp(), pcp()].map(withoutIpv6),
  policy: {
    preferenceWindowMs: 3000, // UPnP takes long to find: the others wait for it
    lifetimeMs: 3_600_000,
    quorum: 3,
    relay: { count: 1, releaseAfterPublicMs: 10_000 }
  }
})
const { traversal } = run
for (const name of ['mapped', 'renewed', 'changed', 'lost', 'failed', 'released'] as const) {
  traversal.addEventListener(name, ({ detail: { event, strategy, external } }) =>
    console.log(event, strategy ?? '', external === null ? '' : `${external.address}:${external.port}`)
  )
}
traversal.addEventListener('verdict', ({ detail: { verdict, cause } }) => console.log('verdict', verdict, cause ?? ''))

const port = Number(process.argv[2] ?? 8080)
const server = createServer((_request, response) => response.end('Hello from a ladder of your own\n'))
server.listen(port, () => {
  for (const [family, address] of [
    [4, '0.0.0.0'],
    [6, '::']
  ] as const) {
    traversal.addEndpoint({ protocol: 'tcp', family, address, port })
  }
})
await run.start()

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => void stop())

async function stop(): Promise<void> {
  await run.stop()
  server.close()
}
