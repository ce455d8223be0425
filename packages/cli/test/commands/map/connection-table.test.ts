import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { type Arrival, systemClock } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectionTable, parseProcNetTcp } from '../../../src/commands/map/connection-table.js'

const head =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                    \n'
const rest = ' 00000000:00000000 00:00000000 00000000     0        0 1193 1 0000000000000000 100 0 0 10 0'
/** Lines of Linux 6.18 on x86-64. */
const listener = `   0: 00000000:0FA1 00000000:0000 0A${rest}\n`
const established = `   1: 0201A8C0:0FA1 01000015:C822 01${rest}\n`
const mapped = `   2: 0000000000000000FFFF00000201A8C0:0FA1 0000000000000000FFFF000001000015:C823 08${rest}\n`
const ipv6 = `   3: 0100002A000000000000000002000000:0FA1 0000212A000000000000000001000000:C824 01${rest}\n`

describe('parseProcNetTcp', () => {
  it('parseProcNetTcp reads the addresses and ports of both families', () => {
    const lines = parseProcNetTcp(head + listener + established + mapped + ipv6)
    expect(lines.map(({ localPort, isListening }) => [localPort, isListening])).toEqual([
      [4001, true],
      [4001, false],
      [4001, false],
      [4001, false]
    ])
    expect(lines.map(({ localAddress }) => localAddress).slice(1, 3)).toEqual(['192.168.1.2', '192.168.1.2'])
    expect(lines.map(({ remoteAddress, remotePort }) => `${remoteAddress} ${remotePort}`)).toEqual([
      '0.0.0.0 0',
      '21.0.0.1 51234',
      '21.0.0.1 51235',
      '2a21::1 51236'
    ])
  })

  it('parseProcNetTcp leaves out lines of another form', () => {
    expect(parseProcNetTcp(`${head}   1: 0201A8C0 01\n   x\n${established.slice(0, 30)}`)).toEqual([])
  })
})

describe('connectionTable', () => {
  it('connectionTable reports each new connection to the port once, and none after the signal', async () => {
    const clock = virtualClock()
    let table = head + listener + established
    const seen: Arrival[] = []
    const end = new AbortController()
    connectionTable(4001, clock, () => table)({ protocol: 'tcp' }, (arrival) => seen.push(arrival), end)
    await clock.advance(500)
    expect(seen).toEqual([])
    table += mapped
    await clock.advance(500)
    expect(seen).toMatchObject([{ protocol: 'tcp', remoteAddress: '21.0.0.1', remotePort: 51_235, localPort: 4001 }])
    end.abort()
    table += established.replace('C822', 'C900')
    await clock.advance(500)
    expect([seen.length, clock.pending]).toEqual([1, 0])
  })

  it('connectionTable throws UNSUPPORTED while no program listens on the port', () => {
    const arrivals = connectionTable(4002, virtualClock(), () => head + listener)
    expect(() => arrivals({ protocol: 'tcp' }, () => undefined, new AbortController())).toThrow(/no program listens/)
  })

  it.runIf(process.platform === 'linux')('connectionTable sees a connection of this system', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const bound = server.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0
    const end = new AbortController()
    const found = Promise.withResolvers<Arrival>()
    connectionTable(port, systemClock)({ protocol: 'tcp' }, found.resolve, end)
    const socket = connect(port, '127.0.0.1')
    onTestFinished(() => {
      end.abort()
      socket.destroy()
      server.close()
    })
    await once(socket, 'connect')
    expect(await found.promise).toMatchObject({
      remoteAddress: '127.0.0.1',
      remotePort: socket.localPort,
      localPort: port
    })
  })
})
