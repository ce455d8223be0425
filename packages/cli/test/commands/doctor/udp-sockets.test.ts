import { expect, it, onTestFinished } from 'vitest'
import { isUdpPortFree, openUdpSockets } from '../../../src/commands/doctor/udp-sockets.js'

async function open(port: number, mayDiffer: boolean): Promise<readonly number[]> {
  const opened = await openUdpSockets([4], port, mayDiffer)
  onTestFinished(() => opened.forEach(({ socket }) => socket.close()))
  return opened.map(({ endpoint }) => endpoint.port)
}

it('a UDP socket takes another port if the named one is not free, unless the user chose that one', async () => {
  const [taken = 0] = await open(0, true)
  expect(await isUdpPortFree(taken)).toBe(false)
  expect(await open(taken, false)).toEqual([])
  const [other] = await open(taken, true)
  expect(other).not.toBe(taken)
})
