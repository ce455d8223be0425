import { expect, test } from 'vitest'
import { never } from './helpers.js'
import { entry, firewall, home, igd1, igd2, key, wan1, wan2 } from './upnp-home.js'

test('the gateway answers multicast and unicast searches for itself and its parts', async () => {
  const { gateway, host } = home()
  const { search } = host()
  expect(await search(igd2)).toEqual([
    'HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n' +
      `ST: ${igd2}\r\nUSN: uuid:5f0c1a2e-7d34-4b6f-9a10-888888888888::${igd2}\r\n` +
      'EXT: \r\nSERVER: Postern/1.0 UPnP/1.1 Testkit/1.0\r\n' +
      'LOCATION: http://192.168.1.1:49000/rootDesc.xml\r\nBOOTID.UPNP.ORG: 1\r\nCONFIGID.UPNP.ORG: 1337\r\n\r\n'
  ])
  // A device of a later version answers searches for an earlier one.
  expect((await search(igd1, '239.255.255.250'))[0]).toContain(`ST: ${igd1}\r\n`)
  for (const target of ['upnp:rootdevice', wan1, wan2, firewall]) expect(await search(target)).toHaveLength(1)
  expect(await search('ssdp:all')).toHaveLength(8)
  expect(await search('urn:schemas-upnp-org:device:MediaServer:1')).toEqual([])
  expect(gateway.violations).toEqual([])
})

test('the gateway records searches that violate UDA 1.1', async () => {
  const { gateway, host } = home()
  const { search } = host()
  expect(await search(igd2, '192.168.1.1', 'MAN: ssdp:discover\r\n')).toEqual([])
  expect(await search(igd2, '239.255.255.250', 'MAN: "ssdp:discover"\r\n')).toEqual([])
  expect(gateway.violations).toEqual([
    'ssdp: search from 192.168.1.10 has MAN ssdp:discover',
    'ssdp: search from 192.168.1.10 has MX missing'
  ])
})

test('the gateway announces alive and byebye', async () => {
  const { gateway, host, clock } = home({ protocols: ['upnp'] })
  const heard: string[] = []
  await host().openUdp(
    {
      family: 4,
      local: { port: 1900 },
      multicast: { group: '239.255.255.250', interface: '192.168.1.10' },
      onMessage: (bytes) => heard.push(Buffer.from(bytes).toString()),
      onError: () => undefined
    },
    { signal: never }
  )
  gateway.reboot({ upnpPort: 50_000 })
  gateway.announce()
  gateway.announce({ upnp: 'byebye' })
  await clock.advance(0)
  expect(heard).toHaveLength(16)
  expect(heard[0]).toMatch(/^NOTIFY \* HTTP\/1\.1\r\nHOST: 239\.255\.255\.250:1900\r\n/)
  expect(heard[0]).toContain('NTS: ssdp:alive\r\n')
  expect(heard[0]).toContain('LOCATION: http://192.168.1.1:50000/rootDesc.xml\r\n')
  expect(heard[0]).toContain('BOOTID.UPNP.ORG: 2\r\n')
  expect(heard[8]).toContain('NTS: ssdp:byebye\r\n')
})

test('the gateway maps, lists and deletes mappings', async () => {
  const { clock, gateway, host } = home()
  const { wan } = host()
  expect(await wan('GetExternalIPAddress')).toEqual({ NewExternalIPAddress: '203.0.113.9' })
  expect(await wan('GetStatusInfo')).toMatchObject({ NewConnectionStatus: 'Connected', NewUptime: '0' })
  expect(await wan('GetSpecificPortMappingEntry', key)).toBe(714)
  expect(await wan('AddPortMapping', entry({ NewPortMappingDescription: 'a &amp; b' }))).toEqual({})
  await clock.advance(600_000)
  const told = {
    NewInternalPort: '8080',
    NewInternalClient: '192.168.1.10',
    NewEnabled: '1',
    NewPortMappingDescription: 'a &amp; b',
    NewLeaseDuration: '3000'
  }
  expect(await wan('GetSpecificPortMappingEntry', key)).toEqual(told)
  expect(await wan('GetGenericPortMappingEntry', { NewPortMappingIndex: 0 })).toMatchObject(told)
  expect(await wan('GetGenericPortMappingEntry', { NewPortMappingIndex: 1 })).toBe(713)
  expect(gateway.mappings).toMatchObject([{ via: 'upnp', description: 'a & b', expiresAt: 3_600_000 }])
  expect(await wan('DeletePortMapping', key)).toEqual({})
  expect(await wan('DeletePortMapping', key)).toBe(714)
  expect(gateway.violations).toEqual([])
  expect(gateway.counters.control).toMatchObject({
    requests: 9,
    maps: 1,
    deletes: 1,
    errors: 3,
    operations: { AddPortMapping: 1, DeletePortMapping: 2 }
  })
})

test('the gateway keeps the port of another host, and offers another port in IGD:2', async () => {
  const { gateway, host } = home()
  await host().wan('AddPortMapping', entry())
  const { wan } = host('192.168.1.11')
  const own = entry({ NewInternalClient: '192.168.1.11' })
  expect(await wan('AddPortMapping', own)).toBe(718)
  expect(await wan('AddAnyPortMapping', own)).toEqual({ NewReservedPort: '8081' })
  expect(await wan('DeletePortMapping', key)).toBe(606)
  expect(gateway.mappings.map(({ internalAddress, externalPort }) => [internalAddress, externalPort])).toEqual([
    ['192.168.1.10', 8080],
    ['192.168.1.11', 8081]
  ])
  expect(gateway.violations).toEqual(['upnp: DeletePortMapping with the mapping of 192.168.1.10 from 192.168.1.11'])
})

test.each([
  [606, { NewInternalClient: '192.168.1.99' }],
  [716, { NewExternalPort: 0 }],
  [732, { NewInternalPort: 0 }],
  [726, { NewRemoteHost: '198.51.100.1' }],
  [402, { NewLeaseDuration: 3_600_000 }],
  [402, { NewProtocol: 'tcp' }],
  [402, { NewExternalPort: 65_536 }]
])('the gateway answers %s to %o and records a violation', async (code, change) => {
  const { gateway, host } = home()
  expect(await host().wan('AddPortMapping', entry(change))).toBe(code)
  expect(gateway.mappings).toEqual([])
  expect(gateway.violations).toHaveLength(1)
})

test('a host may re-point its own mapping, which is recorded as a violation', async () => {
  const { gateway, host } = home()
  const { wan } = host()
  await wan('AddPortMapping', entry())
  expect(await wan('AddPortMapping', entry({ NewInternalPort: 9000 }))).toEqual({})
  expect(gateway.mappings).toMatchObject([{ internalPort: 9000 }])
  expect(gateway.violations).toEqual(['upnp: AddPortMapping re-points tcp port 8080 from 8080 to 9000'])
})

test('a lease of 0 has no end in IGD:1, and lasts a week in IGD:2', async () => {
  const first = home({ upnp: { version: 1 } })
  await first.host().call('/ctl/wan0', wan1, 'AddPortMapping', entry({ NewLeaseDuration: 0 }))
  expect(first.gateway.mappings).toMatchObject([{ expiresAt: Number.POSITIVE_INFINITY }])
  expect(await first.host().call('/ctl/wan0', wan1, 'GetSpecificPortMappingEntry', key)).toMatchObject({
    NewLeaseDuration: '0'
  })
  expect(await first.host().call('/ctl/wan0', wan1, 'AddAnyPortMapping', entry())).toBe(401)
  const second = home()
  await second.host().wan('AddPortMapping', entry({ NewLeaseDuration: 0 }))
  expect(second.gateway.mappings).toMatchObject([{ expiresAt: 604_800_000 }])
})

test('the description lists the services in order', async () => {
  const { host, gateway } = home({
    upnp: { version: 1, wan: [{ type: 'WANPPPConnection', status: 'Disconnected' }, { type: 'WANIPConnection' }] }
  })
  const document = Buffer.from((await host().get('/rootDesc.xml')).body).toString()
  expect(
    [...document.matchAll(/<serviceType>[^<]*:(\w+:\d)<.*?<controlURL>([^<]*)</g)].map(([, ...rest]) => rest)
  ).toEqual([
    ['WANCommonInterfaceConfig:1', '/ctl/cif'],
    ['WANPPPConnection:1', '/ctl/wan0'],
    ['WANIPConnection:1', '/ctl/wan1']
  ])
  const ppp = 'urn:schemas-upnp-org:service:WANPPPConnection:1'
  expect(await host().call('/ctl/wan0', ppp, 'GetStatusInfo')).toMatchObject({ NewConnectionStatus: 'Disconnected' })
  expect(await host().call('/ctl/wan0', ppp, 'AddPortMapping', entry())).toBe(501)
  expect(gateway.violations).toEqual([])
})

test('the firewall opens, extends and closes pinholes for the requesting host', async () => {
  const { clock, gateway, host } = home()
  const { call } = host('2001:db8::10')
  const hole = {
    RemoteHost: '',
    RemotePort: 0,
    InternalClient: '2001:db8::10',
    InternalPort: 8080,
    Protocol: 6,
    LeaseTime: 3600
  }
  const ask = (action: string, values?: Record<string, string | number>) =>
    call('/ctl/firewall', firewall, action, values)
  expect(await ask('GetFirewallStatus')).toEqual({ FirewallEnabled: '1', InboundPinholeAllowed: '1' })
  expect(await ask('AddPinhole', hole)).toEqual({ UniqueID: '1' })
  expect(await ask('AddPinhole', { ...hole, InternalClient: '2001:db8::11' })).toBe(606)
  await clock.advance(1_000_000)
  expect(await ask('UpdatePinhole', { UniqueID: 1, NewLeaseTime: 3600 })).toEqual({})
  expect(gateway.mappings).toMatchObject([{ family: 6, externalAddress: '2001:db8::10', expiresAt: 4_600_000 }])
  expect(await ask('CheckPinholeWorking', { UniqueID: 1 })).toEqual({ IsWorking: '1' })
  expect(await ask('DeletePinhole', { UniqueID: 1 })).toEqual({})
  expect(await ask('DeletePinhole', { UniqueID: 1 })).toBe(704)
})

test('the firewall reports that it allows no pinholes', async () => {
  const { host } = home({ upnp: { firewall: { enabled: true, pinholesAllowed: false } } })
  expect(await host('2001:db8::10').call('/ctl/firewall', firewall, 'GetFirewallStatus')).toEqual({
    FirewallEnabled: '1',
    InboundPinholeAllowed: '0'
  })
})

test.each([
  [{ kind: 'soap-fault', code: 501, action: 'AddPortMapping' }, 501, {}],
  [{ kind: 'soap-fault', code: 718 }, 718, {}],
  [{ kind: 'only-permanent' }, 725, {}],
  [{ kind: 'only-permanent', code: 402 }, 402, {}],
  [{ kind: 'only-permanent' }, {}, { NewLeaseDuration: 0 }],
  [{ kind: 'no-permanent' }, 402, { NewLeaseDuration: 0 }],
  [{ kind: 'same-port' }, 724, { NewExternalPort: 8081 }],
  [{ kind: 'reserved-external-address' }, 501, {}],
  [{ kind: 'lie' }, {}, {}]
] as const)('AddPortMapping follows the fault %o: %o', async (fault, expected, change) => {
  const { gateway, host } = home()
  gateway.inject(fault)
  expect(await host().wan('AddPortMapping', entry(change))).toEqual(expected)
})

test.each([
  ['bomb', /<!ENTITY e9 /],
  ['doctype', /^<\?xml[^>]*>\s*<!DOCTYPE root>/],
  ['external-entity', /SYSTEM.*&xxe;/],
  ['deep', /(<a>){2000}/],
  ['proto', /<__proto__>/],
  ['blank-before-declaration', /^\s+<\?xml/],
  ['byte-order-mark', /^\uFEFF<\?xml/],
  ['bare-ampersand', /Tom & Jerry/],
  ['junk-after-root', /<\/root>\s+0\s+for/],
  ['unclosed-tags', /<\/device>$/]
] as const)('the XML fault %s changes the description', async (what, pattern) => {
  const { gateway, host } = home()
  gateway.inject({ kind: 'xml', what, on: 'description' })
  const document = Buffer.from((await host().get('/rootDesc.xml')).body).toString()
  expect(document).toMatch(pattern)
  expect(document.length).toBeLessThan(65_536)
})

test('the location fault sends clients to another URL', async () => {
  const { gateway, host } = home()
  gateway.inject({ kind: 'location', location: 'http://user@{address}:{port}/x', times: 1 })
  expect((await host().search(igd2))[0]).toContain('LOCATION: http://user@192.168.1.1:49000/x\r\n')
  gateway.inject({ kind: 'http', what: 'redirect', to: 'http://10.0.0.1/' })
  expect(await host().get('/rootDesc.xml')).toMatchObject({ status: 302, headers: { location: 'http://10.0.0.1/' } })
})

test.each([
  [{ kind: 'bytes', bytes: 'oversized' }, 'REPLY_TOO_LARGE'],
  [{ kind: 'http', what: 'endless' }, 'REPLY_TOO_LARGE'],
  [{ kind: 'http', what: 'not-http' }, 'MALFORMED_REPLY'],
  [{ kind: 'http', what: 'hang' }, 'NO_REPLY'],
  [{ kind: 'http', what: 'drip' }, 'NO_REPLY'],
  [{ kind: 'silent' }, 'NO_REPLY'],
  [{ kind: 'refuse', on: 'description' }, 'REFUSED']
] as const)('an HTTP exchange fails with the fault %o', async (fault, code) => {
  const { clock, gateway, host } = home()
  gateway.inject(fault)
  const outcome = host()
    .get('/rootDesc.xml')
    .catch((error: unknown) => error)
  await clock.advance(5000)
  expect(await outcome).toMatchObject({ code })
})

test('a busy gateway answers 503 to other requests', async () => {
  const { clock, gateway, host } = home()
  gateway.inject({ kind: 'one-at-a-time', busyMs: 100, on: ['control', 'description'] })
  const { get } = host()
  const first = get('/rootDesc.xml')
  const second = get('/rootDesc.xml')
  await clock.advance(100)
  expect([(await first).status, (await second).status]).toEqual([200, 503])
  expect((await Promise.all([get('/rootDesc.xml'), clock.advance(100)]))[0].status).toBe(200)
})

test('the gateway records SUBSCRIBE and requests that are not SOAP', async () => {
  const { gateway, host, clock, network } = home()
  await host().call('/ctl/wan0', wan2, 'AddPortMapping', { NewExternalPort: 8080 })
  const { exchangeHttp } = network.host('192.168.1.10')
  await exchangeHttp(
    {
      url: new URL('http://192.168.1.1:49000/ctl/wan0'),
      method: 'POST',
      headers: { 'Content-Type': 'text/xml', SOAPAction: `"${wan2}#GetStatusInfo"` },
      body: '<s:Envelope><s:Body></s:Envelope>',
      maxBytes: 1000,
      timeoutMs: 1000,
      clock
    },
    { signal: never }
  )
  expect(gateway.violations).toEqual([
    'upnp: AddPortMapping with arguments NewExternalPort',
    'upnp: the body is not XML: </s:Envelope> closes nothing'
  ])
})
