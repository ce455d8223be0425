import { natError } from '@postern/interface'
import type { ExchangeHttp, HttpReply } from '@postern/net'
import { describe, expect, it } from 'vitest'
import { type Bench, bench, call, entries, external, ours, request } from './bench.js'

type Spoil = (reply: HttpReply, action: string) => HttpReply

const actionOf = (headers: Readonly<Record<string, string>> = {}): string =>
  /#(\w+)"$/.exec(headers.SOAPAction ?? '')?.[1] ?? ''

/** A router that carries everything out, and answers some actions in a deviating way. */
const answering =
  (actions: readonly string[], spoil: Spoil) =>
  (exchangeHttp: ExchangeHttp): ExchangeHttp =>
  async (exchange, own) => {
    const reply = await exchangeHttp(exchange, own)
    const action = actionOf(exchange.headers)
    return actions.includes(action) ? spoil(reply, action) : reply
  }

const read = (reply: HttpReply): string => new TextDecoder().decode(reply.body)
const write = (reply: HttpReply, text: string, status = reply.status): HttpReply => ({
  ...reply,
  status,
  body: new TextEncoder().encode(text)
})

const additions = ['AddPortMapping', 'AddAnyPortMapping']
const list = ['GetSpecificPortMappingEntry']

const useless: readonly (readonly [string, Spoil])[] = [
  ['nothing', (reply) => write(reply, '', 200)],
  ['an empty body of SOAP', (reply) => write(reply, '<s:Envelope><s:Body></s:Body></s:Envelope>', 200)],
  ['a page', (reply) => write(reply, '<html><body>OK</body></html>', 200)],
  ['500 and nothing', (reply) => write(reply, '', 500)],
  ['404', (reply) => write(reply, '', 404)],
  [
    'a reset',
    () => {
      throw natError('MALFORMED_REPLY', 'closed in the middle of its answer')
    }
  ],
  [
    '501',
    (reply) =>
      write(reply, '<s:Fault><detail><UPnPError><errorCode>501</errorCode></UPnPError></detail></s:Fault>', 500)
  ]
]

describe.each([1, 2] as const)('an IGD:%i', (version) => {
  const igd = async (wrapHttp: (exchangeHttp: ExchangeHttp) => ExchangeHttp): Promise<Bench> => {
    const made = await bench({ gateway: { upnp: { version } }, wrapHttp })
    await made.clock.advance(100)
    return made
  }

  it.each(useless)('that maps the port and answers with %s is recognised by its list', async (_what, spoil) => {
    const home = await igd(answering(additions, spoil))
    const lease = await home.map(request)
    expect(lease.addresses).toEqual([`/ip4/${external}/tcp/8080`])
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
    await home.within(lease.renew(call()))
    await home.clock.advance(4_000_000)
    const next = await home.within(lease.renew(call()))
    expect(next.lifetimeMs).toBe(7_200_000)
    await home.within(next.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each(useless)('that deletes the mapping and answers with %s has deleted it', async (_what, spoil) => {
    const home = await igd(answering(['DeletePortMapping'], spoil))
    const lease = await home.map(request)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('that fails to delete once is asked again', async () => {
    const home = await igd((exchangeHttp) => exchangeHttp)
    const lease = await home.map(request)
    home.gateway.inject({ kind: 'soap-fault', code: 501, action: 'DeletePortMapping', times: 1 })
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each([400, 401, 402, 404, 501, 725])('that sends a fault with status %i is understood', async (status) => {
    const home = await igd(
      answering(additions, (reply) => (reply.status === 500 ? write(reply, read(reply), status) : reply))
    )
    home.gateway.inject({ kind: 'only-permanent' })
    const lease = await home.map(request)
    expect(lease.quirks).toContain('only-permanent-leases')
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
  })

  it.each<readonly [string, Spoil]>([
    ['without the word Response', (reply, action) => write(reply, read(reply).replaceAll(`${action}Response`, action))],
    ['without its name', (reply, action) => write(reply, read(reply).replaceAll(`u:${action}Response`, 'u:Response'))]
  ])('that names its answers %s is understood', async (_what, spoil) => {
    const home = await igd(answering(['GetExternalIPAddress', ...list, ...additions, 'DeletePortMapping'], spoil))
    const lease = await home.map(request)
    expect(lease.addresses).toEqual([`/ip4/${external}/tcp/8080`])
    expect(lease.caveat).toBeUndefined()
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each(['', '0.0.0.0'])('that returns an entry to "%s" for a missing one is understood', async (client) => {
    const blank = `<u:GetSpecificPortMappingEntryResponse><NewInternalPort>0</NewInternalPort><NewInternalClient>${client}</NewInternalClient></u:GetSpecificPortMappingEntryResponse>`
    const home = await igd(answering(list, (reply) => (reply.status === 500 ? write(reply, blank, 200) : reply)))
    const lease = await home.map(request)
    expect(lease.addresses).toEqual([`/ip4/${external}/tcp/8080`])
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each([
    ['no client', /<NewInternalClient>[^<]*/, '<NewInternalClient>'],
    ['0.0.0.0 for the client', /<NewInternalClient>[^<]*/, '<NewInternalClient>0.0.0.0'],
    ['no internal port', /<NewInternalPort>[^<]*/, '<NewInternalPort>'],
    ['the internal port as a range', /<NewInternalPort>([^<]*)/, '<NewInternalPort>$1-$1']
  ])('with a list that shows %s maps, renews and releases', async (_what, pattern, shown) => {
    const home = await igd(answering(list, (reply) => write(reply, read(reply).replace(pattern, shown))))
    const lease = await home.map(request)
    expect(lease.caveat?.code).toBe('GRANT_UNCHECKED')
    const next = await home.within(lease.renew(call()))
    expect(next.addresses).toEqual([`/ip4/${external}/tcp/8080`])
    await home.within(next.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('with a list that shows the mapping switched off gets a caveat', async () => {
    const home = await igd(
      answering(list, (reply) => write(reply, read(reply).replace(/<NewEnabled>1/, '<NewEnabled>0')))
    )
    const { caveat } = await home.map(request)
    expect(caveat).toMatchObject({ code: 'GRANT_UNCHECKED', message: expect.stringContaining('switched off') })
  })

  it('that lists a mapping a second after the grant is waited for', async () => {
    let readings = 0
    const home = await igd(
      answering(list, (reply) => {
        readings += 1
        return readings === 2
          ? write(reply, '<s:Fault><UPnPError><errorCode>714</errorCode></UPnPError></s:Fault>', 500)
          : reply
      })
    )
    const lease = await home.within(home.map(request))
    expect(lease.quirks).toEqual([])
    expect(lease.lifetimeMs).toBeGreaterThan(7_190_000)
  })

  it('that maps another port than it reports is noticed, and nothing is left there', async () => {
    const home = await igd((exchangeHttp) => (exchange, own) => {
      const isAddition = additions.includes(actionOf(exchange.headers))
      const body = isAddition
        ? exchange.body?.replace('>8080</NewExternalPort>', '>18080</NewExternalPort>')
        : undefined
      const asked = body === undefined ? exchange : { ...exchange, body }
      return exchangeHttp(asked, own).then((reply) =>
        isAddition ? write(reply, read(reply).replace(/<NewReservedPort>.*<\/NewReservedPort>/, '')) : reply
      )
    })
    const lease = await home.within(home.map(request))
    expect(lease.addresses).toEqual([`/ip4/${external}/tcp/18080`])
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each([402, 501, 606, 718, 728])(
    'that refuses to add an entry again with %i keeps it, and its port',
    async (code) => {
      const refusal = `<s:Fault><UPnPError><errorCode>${code}</errorCode></UPnPError></s:Fault>`
      let isMapped = (): boolean => false
      const home = await igd((exchangeHttp) => async (exchange, own) => {
        const isAgain = isMapped() && exchange.body?.includes('>8080</NewExternalPort>') === true
        const reply = { status: 500, headers: {}, body: new TextEncoder().encode(refusal) }
        return isAgain && additions.includes(actionOf(exchange.headers)) ? reply : exchangeHttp(exchange, own)
      })
      isMapped = () => entries(home).length > 0
      const lease = await home.map(request)
      await home.clock.advance(3_600_000)
      await expect(home.within(lease.renew(call()))).rejects.toMatchObject({ name: 'NatError' })
      expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
      await home.clock.advance(3_500_000)
      const next = await home.within(lease.renew(call()))
      expect(next.addresses).toEqual(lease.addresses)
      expect(next.lifetimeMs).toBe(7_200_000)
      await home.within(next.release(call()))
      expect(entries(home)).toEqual([])
    }
  )

  it('that returns an IPv6 address as the external one is rejected', async () => {
    const home = await igd(
      answering(['GetExternalIPAddress'], (reply) => write(reply, read(reply).replace(external, '2001:470::1')))
    )
    const lease = await home.map(request)
    expect(lease.addresses).toEqual(['/ip4/0.0.0.0/tcp/8080'])
    expect(lease.caveat?.code).toBe('EXTERNAL_ADDRESS_UNKNOWN')
  })
})

describe('a device with two services that are up', () => {
  const path = /<controlURL>([^<]*)<\/controlURL>/
  const both =
    (first: string, second: string) =>
    (text: string): string =>
      text.replace(/<service>(?:(?!<\/service>)[^])*WANIPConnection:\d[^]*?<\/service>/, (service) =>
        [first, second]
          .map((type) => service.replace(/WANIPConnection:\d/, type).replace(path, `<controlURL>$1</controlURL>`))
          .join('')
      )

  it.each([
    ['WANPPPConnection:1', 'WANIPConnection:1', 'WANIPConnection:1'],
    ['WANIPConnection:1', 'WANPPPConnection:1', 'WANPPPConnection:1'],
    ['WANIPConnection:2', 'WANIPConnection:1', 'WANIPConnection:1'],
    ['WANIPConnection:2', 'WANIPConnection:2', 'WANIPConnection:1']
  ])('%s and %s uses the service that maps (%s)', async (first, second, able) => {
    const refusal = '<s:Fault><UPnPError><errorCode>401</errorCode></UPnPError></s:Fault>'
    const home = await bench({
      wrapHttp: (exchangeHttp) => async (exchange, own) => {
        const type = /service:(\w+:\d)#/.exec(exchange.headers?.SOAPAction ?? '')?.[1]
        if (type === undefined) {
          const reply = await exchangeHttp(exchange, own)
          return write(reply, both(first, second)(read(reply)))
        }
        if (type !== able) {
          if (actionOf(exchange.headers).startsWith('Add'))
            return { status: 500, headers: {}, body: new TextEncoder().encode(refusal) }
        }
        const known = (text: string): string => text.replace(/WAN(?:IP|PPP)Connection:\d/, 'WANIPConnection:1')
        const { SOAPAction = '', ...headers } = exchange.headers ?? {}
        return exchangeHttp(
          { ...exchange, body: known(exchange.body ?? ''), headers: { ...headers, SOAPAction: known(SOAPAction) } },
          own
        )
      }
    })
    await home.clock.advance(100)
    const lease = await home.within(home.map(request))
    expect(lease.addresses).toEqual([`/ip4/${external}/tcp/8080`])
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })
})
