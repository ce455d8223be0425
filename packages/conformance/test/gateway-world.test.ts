import { expect, it } from 'vitest'
import { type GatewayWorld, gatewayWorld } from '../src/index.js'

const signal = new AbortController().signal

async function world(): Promise<GatewayWorld> {
  return await gatewayWorld({ create: () => () => ({ name: 'none', discover: async () => undefined }) }).world()
}

/** Encodes a NAT-PMP mapping request for TCP (RFC 6886 §3.3). */
async function askToMap({ openUdp, clock }: GatewayWorld, internal: number, external: number, seconds: number) {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setUint8(1, 2)
  view.setUint16(4, internal)
  view.setUint16(6, external)
  view.setUint32(8, seconds)
  const remote = { address: '192.168.1.1', port: 5351 }
  const replies: Uint8Array[] = []
  const onMessage = (reply: Uint8Array): void => void replies.push(reply)
  const socket = await openUdp({ family: 4, remote, onMessage, onError: () => undefined }, { signal })
  socket.send(bytes)
  await clock.advance(100)
  socket.close()
  return replies
}

it('the gateway world counts requests, changes and open handles', async () => {
  const home = await world()
  expect([home.requests?.(), home.changes?.(), home.openHandles?.()]).toEqual([0, 0, 0])
  await askToMap(home, 8080, 8080, 60)
  expect([home.requests?.(), home.changes?.(), home.openHandles?.()]).toEqual([2, 1, 0])
  expect(home.mappings?.()).toMatchObject([{ externalPort: 8080, internalAddress: '192.168.1.10' }])
})

it('the gateway world records violations of the protocol', async () => {
  const home = await world()
  await askToMap(home, 8080, 8080, 0)
  expect(home.violations?.()).toHaveLength(1)
})

it('the gateway world can map a port to a neighbour', async () => {
  const home = await world()
  await home.faults?.occupy?.('tcp', 8080)
  await askToMap(home, 8080, 8080, 60)
  const taken = home.mappings?.().map(({ internalAddress, externalPort }) => [internalAddress, externalPort])
  expect(taken).toEqual([
    ['192.168.1.99', 8080],
    ['192.168.1.10', 8081]
  ])
  expect(home.violations?.()).toEqual([])
})

it('the gateway world can be silent, refuse, shorten, move and reboot', async () => {
  const home = await world()
  await home.faults?.shorten?.()
  await askToMap(home, 8080, 8080, 7200)
  expect(home.mappings?.()).toMatchObject([{ externalAddress: '1.2.3.4', expiresAt: 600_005 }])
  await home.faults?.move?.()
  expect(home.mappings?.()).toMatchObject([{ externalAddress: '1.2.3.5' }])
  await home.faults?.reboot?.()
  expect(home.mappings?.()).toEqual([])
  await home.faults?.refuse?.()
  const [reply] = await askToMap(home, 8080, 8080, 60)
  expect(reply?.[3]).toBe(2)
  await home.faults?.silence?.()
  expect(await askToMap(home, 8080, 8080, 60)).toEqual([])
})
