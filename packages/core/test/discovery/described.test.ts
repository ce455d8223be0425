import type { Gateway, GatewayDevice, Strategy } from '@postern/interface'
import { expect, it } from 'vitest'
import { begin, end, home, router, scripted, stage } from '../support.js'

const box: GatewayDevice = { manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590', name: 'Attic' }

/** The strategy, which first tells how a router describes itself. */
const telling =
  (strategy: Strategy, gateway: Gateway, device: GatewayDevice): Strategy =>
  (host) => {
    const discovery = strategy(host)
    return {
      ...discovery,
      discover(network, found, call) {
        found({ kind: 'notice', what: 'described', gateway, device })
        return discovery.discover(network, found, call)
      }
    }
  }

async function gatewayIn(gateway: Gateway, device: GatewayDevice, network = home): Promise<unknown> {
  const here = stage((trace, clock) => [telling(scripted('upnp', trace, clock).strategy, gateway, device)], { network })
  await begin(here)
  const { gateway: told } = here.traversal.report()
  await end(here)
  return told
}

it('the gateway in the report has the names that it gave to itself', async () => {
  expect(await gatewayIn(router, box)).toMatchObject({ address: router.address, device: box })
})

it('the report does not give the names of another router to the gateway', async () => {
  expect(await gatewayIn({ ...router, address: '192.168.1.254' }, box)).not.toHaveProperty('device')
})

it('a router that described itself over IPv4 is the next hop of IPv6 with the same hardware address', async () => {
  const mac = '02:00:00:00:00:01'
  const next: Gateway = { address: 'fe80::1%eth0', interface: 'eth0', localAddress: '2a00::2', mac }
  const network = { gateways: [next, { ...router, mac }], addresses: ['192.168.1.2', '2a00::2'] }
  expect(await gatewayIn({ ...router, mac }, box, network)).toMatchObject({ address: next.address, device: box })
})

it('the report makes texts of a strategy printable that are not', async () => {
  const device = { manufacturer: 'a\nb', model: 'x'.repeat(100), name: 7 } as unknown as GatewayDevice
  expect(await gatewayIn(router, device)).toMatchObject({
    device: { manufacturer: 'a\\u000ab', model: `${'x'.repeat(63)}…`, name: null }
  })
})
