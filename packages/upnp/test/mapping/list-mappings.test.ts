import type { ListedMapping } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { type Bench, type BenchOptions, bench, call, ours, request } from '../bench.js'

interface Listed {
  readonly isWhole: boolean
  readonly mappings: readonly ListedMapping[]
}

async function listed(
  home: Bench,
  ports: Parameters<NonNullable<ReturnType<Bench['mapper']>['list']>>[0] = []
): Promise<Listed> {
  const mappings: ListedMapping[] = []
  const isWhole = await home.within(
    home.mapper().list?.(ports, (each) => mappings.push(each), call()) ?? Promise.reject()
  )
  return { isWhole, mappings }
}

const held = { externalPort: 8080, internalAddress: '192.168.1.55', internalPort: 80 }
const home = async (options: BenchOptions['gateway'] = {}, prepare?: BenchOptions['prepare']): Promise<Bench> => {
  const made = await bench({
    gateway: { upnp: { version: 1 }, ...options },
    ...(prepare === undefined ? {} : { prepare })
  })
  await made.clock.advance(100)
  return made
}

describe('list', () => {
  it('list reads the mappings of every host, and sends nothing that changes them', async () => {
    const made = await home({ occupied: [held] })
    await made.map({ ...request, suggestedExternalPort: 9000 })
    const before = { ...made.gateway.counters.control.operations }
    const { isWhole, mappings } = await listed(made)
    expect(isWhole).toBe(true)
    expect(mappings).toMatchObject([
      { protocol: 'tcp', externalPort: 8080, internalAddress: '192.168.1.55', internalPort: 80, remainingMs: Infinity },
      { protocol: 'tcp', externalPort: 9000, internalAddress: ours, internalPort: 8080, description: 'postern' }
    ])
    const { operations } = made.gateway.counters.control
    expect(Object.keys(operations).filter((action) => operations[action] !== before[action])).toEqual([
      'GetGenericPortMappingEntry'
    ])
  })

  it('list reads the mappings at the given ports first', async () => {
    const occupied = Array.from({ length: 5 }, (_, index) => ({ ...held, externalPort: 20_000 + index }))
    const made = await home({ occupied: [...occupied, held] })
    const { mappings } = await listed(made, [{ protocol: 'tcp', externalPort: 8080 }])
    expect(mappings.map(({ externalPort }) => externalPort)).toEqual([
      8080, 20_000, 20_001, 20_002, 20_003, 20_004, 8080
    ])
  })

  it('list tells that it has not read all if the list is longer than 64 entries', async () => {
    const occupied = Array.from({ length: 70 }, (_, index) => ({ ...held, externalPort: 20_000 + index }))
    const { isWhole, mappings } = await listed(await home({ occupied }))
    expect(isWhole).toBe(false)
    expect(mappings).toHaveLength(64)
  })

  it('list tells that it has not read all if the router does not answer, and does not reject', async () => {
    const made = await home({ occupied: [held] }, (gateway) =>
      gateway.inject({ kind: 'http', what: 'empty', status: 500, action: 'GetGenericPortMappingEntry', on: 'control' })
    )
    expect(await listed(made)).toEqual({ isWhole: false, mappings: [] })
  })

  it('list rejects with the reason of the signal', async () => {
    const made = await home({ occupied: [held] })
    const reason = new Error('enough')
    await expect(made.mapper().list?.([], () => undefined, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  it('list makes hostile descriptions printable, and leaves out entries that are no mapping of a port', async () => {
    const answer = (values: string): string =>
      `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:GetGenericPortMappingEntryResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">${values}</u:GetGenericPortMappingEntryResponse></s:Body></s:Envelope>`
    const entry = (port: string, client: string, description: string): string =>
      answer(
        `<NewExternalPort>${port}</NewExternalPort><NewProtocol>TCP</NewProtocol><NewInternalPort>80</NewInternalPort><NewInternalClient>${client}</NewInternalClient><NewPortMappingDescription>${description}</NewPortMappingDescription><NewLeaseDuration>-1</NewLeaseDuration>`
      )
    const answers = [
      entry('80', '192.168.1.9', `&lt;b&gt;\u202e${'x'.repeat(200)}\n`),
      entry('0', '192.168.1.9', ''),
      entry('70000', '192.168.1.9', ''),
      entry('81', '', ''),
      answer('')
    ]
    const made = await bench({
      gateway: { upnp: { version: 1 } },
      wrapHttp: (exchangeHttp) => async (exchange, own) => {
        const isList = String(exchange.headers?.['SOAPAction']).includes('GetGenericPortMappingEntry')
        const next = isList ? answers.shift() : undefined
        return next === undefined ? exchangeHttp(exchange, own) : { status: 200, headers: {}, body: Buffer.from(next) }
      }
    })
    await made.clock.advance(100)
    const { mappings } = await listed(made)
    expect(mappings).toEqual([
      {
        protocol: 'tcp',
        externalPort: 80,
        internalAddress: '192.168.1.9',
        internalPort: 80,
        description: `b${'x'.repeat(62)}…`,
        remainingMs: Infinity
      }
    ])
  })
})
