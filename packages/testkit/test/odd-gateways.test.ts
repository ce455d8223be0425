import { expect, test } from 'vitest'
import { createGateway } from '../src/index.js'
import { hex, text, home as udpHome } from './helpers.js'
import { entry, home, key } from './upnp-home.js'

const natPmpMap = hex('00 02 0000 1f90 1f90 00001c20')

test('a gateway may map external ports of a range only', async () => {
  const { gateway, host } = home()
  gateway.inject({ kind: 'allowed-ports', first: 62_816, last: 62_831, on: 'control' })
  const { wan } = host()
  expect(await wan('AddPortMapping', entry())).toBe(606)
  expect(await wan('AddPortMapping', entry({ NewExternalPort: 62_820 }))).toEqual({})
  const { NewReservedPort } = Object(await wan('AddAnyPortMapping', entry({ NewInternalPort: 81 })))
  expect(Number(NewReservedPort)).toBeGreaterThanOrEqual(62_816)
  expect(Number(NewReservedPort)).toBeLessThanOrEqual(62_831)

  const other = udpHome()
  other.gateway.inject({ kind: 'allowed-ports', first: 62_816, last: 62_831 })
  const { ask } = await other.client('192.168.1.10')
  await ask(natPmpMap)
  expect(other.gateway.mappings[0]?.externalPort).toBeGreaterThanOrEqual(62_816)
})

test('a gateway may show another lease, and map to another internal port', async () => {
  const { gateway, host } = home()
  gateway.inject({ kind: 'shown-lease', seconds: 0 })
  gateway.inject({ kind: 'ignores-internal-port' })
  const { wan } = host()
  await wan('AddPortMapping', entry({ NewInternalPort: 81 }))
  expect(await wan('GetSpecificPortMappingEntry', key)).toMatchObject({
    NewLeaseDuration: '0',
    NewInternalPort: '8080'
  })
  expect(gateway.mappings).toMatchObject([{ internalPort: 8080, expiresAt: 3_600_000 }])
})

test('a gateway may forget leases, refuse leases with any code, and answer one action without a body', async () => {
  const { gateway, host, clock } = home()
  const { wan } = host()
  gateway.inject({ kind: 'forgetful', afterMs: 1000, leasesOnly: true })
  await wan('AddPortMapping', entry())
  await clock.advance(1000)
  expect(gateway.mappings).toEqual([])
  const undo = gateway.inject({ kind: 'only-permanent', code: -911 })
  gateway.inject({ kind: 'http', what: 'empty', action: 'GetSpecificPortMappingEntry', on: 'control' })
  // No standard code has a sign, so a negative code is read as no code.
  expect(await wan('AddPortMapping', entry())).toBeNaN()
  undo()
  expect(await wan('GetSpecificPortMappingEntry', key)).toBeNaN()
  expect(await wan('GetExternalIPAddress')).toEqual({ NewExternalIPAddress: '203.0.113.9' })
})

test('a rate-limited gateway drops requests that arrive too soon', async () => {
  const { gateway, host, clock } = home()
  gateway.inject({ kind: 'rate-limited', everyMs: 1000 })
  const { get } = host()
  expect(await get('/rootDesc.xml')).toMatchObject({ status: 200 })
  await expect(get('/rootDesc.xml')).rejects.toMatchObject({ code: 'MALFORMED_REPLY' })
  await clock.advance(1000)
  expect(await get('/rootDesc.xml')).toMatchObject({ status: 200 })
})

test('wrong-field writes a number into a field, and leaves answers without that field unchanged', async () => {
  const { gateway, client } = udpHome()
  gateway.inject({ kind: 'wrong-field', field: 'internal-port', value: 0 })
  const { ask } = await client('192.168.1.10')
  expect(text(await ask(natPmpMap))).toBe('008200000000000000001f9000001c20')
  expect(text(await ask(hex('00 00')))).toBe('0080000000000000cb007109')
})

test('deliver returns the destination of a packet from the internet', async () => {
  const { gateway, host } = home({
    occupied: [{ externalPort: 80, internalAddress: '192.168.1.55', internalPort: 8000 }],
    externalAddress: '11.0.0.2'
  })
  await host().wan('AddPortMapping', entry())
  expect(gateway.deliver('tcp', '11.0.0.2', 8080)).toEqual({ address: '192.168.1.10', port: 8080 })
  expect(gateway.deliver('tcp', '11.0.0.2', 80)).toEqual({ address: '192.168.1.55', port: 8000 })
  expect(gateway.deliver('udp', '11.0.0.2', 8080)).toBeUndefined()
  expect(gateway.deliver('tcp', '11.0.0.3', 8080)).toBeUndefined()
  // A mapping to a private external address is not reachable from the internet.
  gateway.setExternalAddress('192.168.100.2')
  expect(gateway.deliver('tcp', '192.168.100.2', 8080)).toBeUndefined()
})

test('the epoch runs at its own rate, and may survive a restart', async () => {
  const seconds = async (rate: number, passedMs: number): Promise<number> => {
    const { client, clock } = udpHome({ epochSeconds: 1000, epochRate: rate })
    const { ask } = await client('192.168.1.10')
    await clock.advance(passedMs)
    return Buffer.from((await ask(hex('00 00'))) ?? []).readUInt32BE(4)
  }
  expect([await seconds(1, 60_000), await seconds(0, 60_000), await seconds(3, 60_000)]).toEqual([1060, 1000, 1180])
  expect([await seconds(-1, 60_000), await seconds(-1, 2_000_000)]).toEqual([940, 0])

  const { gateway, client } = udpHome({ epochSeconds: 1000 })
  const { ask } = await client('192.168.1.10')
  await ask(natPmpMap)
  gateway.reboot({ keepEpoch: true })
  expect(gateway.mappings).toEqual([])
  expect(text(await ask(hex('00 00')))).toContain('000003e8')
})

test('the description can be edited, and the control URL can have a second port', async () => {
  const { network, host, clock } = home()
  const edited = createGateway({
    clock,
    upnp: { version: 1, wan: [{ type: 'WANIPConnection', version: 2 }], edits: [['/ctl/', 'ctl/']] }
  })
  network.attach(edited, '192.168.1.1', { controlPort: 1910 })
  const { get } = host()
  const document = Buffer.from((await get('/rootDesc.xml')).body).toString()
  expect(document).toContain('<controlURL>ctl/wan0</controlURL>')
  expect(document).toContain('device:InternetGatewayDevice:1')
  expect(document).toContain('service:WANIPConnection:2')
  const { exchangeHttp } = network.host('192.168.1.10')
  const at = (port: number): Promise<unknown> =>
    exchangeHttp(
      { url: new URL(`http://192.168.1.1:${port}/rootDesc.xml`), maxBytes: 65_536, timeoutMs: 1000, clock },
      { signal: new AbortController().signal }
    )
  expect(await at(1910)).toMatchObject({ status: 200 })
  await expect(at(1911)).rejects.toMatchObject({ code: 'REFUSED' })
})

test('an edit of text that the description does not contain throws', async () => {
  const { network, host, clock } = home()
  network.attach(createGateway({ clock, upnp: { edits: [['no such text', '']] } }), '192.168.1.1')
  await expect(host().get('/rootDesc.xml')).rejects.toThrow(TypeError)
})

test('struckFaults contains the faults that have struck', async () => {
  const { gateway, client } = udpHome()
  const late = { kind: 'late', ms: 0, on: 'nat-pmp' } as const
  gateway.inject(late)
  gateway.inject({ kind: 'silent', on: 'pcp' })
  const { ask } = await client('192.168.1.10')
  await ask(natPmpMap)
  expect([...gateway.struckFaults]).toEqual([late])
})

test('a stale answer is repeated at the next request', async () => {
  const { gateway, client } = udpHome()
  gateway.inject({ kind: 'stale' })
  const { ask, replies } = await client('192.168.1.10')
  await ask(hex('00 00'))
  await ask(natPmpMap)
  expect(replies.map(({ bytes }) => bytes[1])).toEqual([128, 128, 130])
})
