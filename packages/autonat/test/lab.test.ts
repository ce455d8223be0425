import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { canRunLab, findTopology, type Lab, openLab, type Topology } from '@postern/lab'
import { describe, expect, it, onTestFinished } from 'vitest'
import { goAgent } from './support/nodes.js'

const support = await canRunLab()
const skip = support.ok ? undefined : support.reason
const program = join(import.meta.dirname, 'support', 'node.mjs')

interface Line {
  readonly [field: string]: unknown
  readonly address?: string
}

interface Running {
  /** Resolves with the next line that has this field. */
  readonly line: (field: string) => Promise<Line>
  readonly lines: readonly Line[]
  /** Ends the process and resolves with its last lines. */
  readonly end: () => Promise<Line>
}

function start(lab: Lab, host: string, setting: object): Running {
  const child = lab.spawn(host, [process.execPath, program, JSON.stringify(setting)], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  onTestFinished(() => void child.kill())
  const lines: Line[] = []
  const waiting = new Set<() => void>()
  if (child.stdout === null) throw new Error('no standard output')
  createInterface({ input: child.stdout }).on('line', (text) => {
    lines.push(JSON.parse(text) as Line)
    for (const look of waiting) look()
  })
  const line: Running['line'] = async (field) =>
    new Promise((resolve) => {
      const look = (): void => {
        const match = lines.find((each) => field in each)
        if (match !== undefined) resolve(match)
      }
      waiting.add(look)
      look()
    })
  return {
    line,
    lines,
    async end() {
      child.stdin?.end()
      return line('counters')
    }
  }
}

/** A home behind a NAT that rejects unsolicited packets, and two public hosts. */
function street(): Topology {
  const home = findTopology('home-reject')
  if (home === undefined) throw new Error('no such topology')
  const links = [{ name: 'eth0', network: 'wan', addresses: ['11.0.0.3/24'] }]
  return { ...home, hosts: { ...home.hosts, other: { links, routes: [] } } }
}

describe.skipIf(skip !== undefined)(`through a real NAT${skip === undefined ? '' : `: ${skip}`}`, () => {
  it('our server and the js-libp2p server distinguish a mapped port from an unmapped one', {
    timeout: 60_000
  }, async () => {
    await using lab = await openLab(street())
    const ours = start(lab, 'internet', { listen: '/ip4/11.0.0.1/tcp/4001' })
    const { address: ourAddress } = await ours.line('address')
    const stock = start(lab, 'other', { listen: '/ip4/11.0.0.3/tcp/4001', stock: 'v2', dial: [ourAddress] })
    const { address: stockAddress } = await stock.line('address')
    await lab.run('home', ['natpmpc', '-a', '4001', '4001', 'tcp', '600'])

    const [mapped, unmapped] = ['/ip4/11.0.0.2/tcp/4001', '/ip4/11.0.0.2/tcp/4002']
    const home = start(lab, 'home', {
      listen: '/ip4/192.168.1.2/tcp/4001',
      dial: [ourAddress, stockAddress],
      ask: [mapped, unmapped]
    })
    await home.line('asked')
    const outcomes = (address: string): readonly unknown[] =>
      home.lines
        .filter((each) => each['witness'] !== undefined && each.address === address)
        .map((each) => each['outcome'])
    expect(outcomes(mapped)).toEqual(['reachable', 'reachable'])
    expect(outcomes(unmapped)).toEqual(['unreachable', 'unreachable'])

    // In the other direction, js-libp2p has its address verified by our server.
    expect((await stock.line('verified'))['verified']).toEqual(['/ip4/11.0.0.3/tcp/4001'])
    // js-libp2p asks again over every new connection, including our dial backs, so the number of questions is not
    // checked.
    const { counters } = await ours.end()
    expect(counters).toMatchObject({ dialErrors: 1, refused: 0, failed: 0 })
    await Promise.all([home.end(), stock.end()])
  })

  it('our server and the js-libp2p server prove a plain listener by their connections', {
    timeout: 60_000
  }, async () => {
    await using lab = await openLab(street())
    const ours = start(lab, 'internet', { listen: '/ip4/11.0.0.1/tcp/4001' })
    const stock = start(lab, 'other', { listen: '/ip4/11.0.0.3/tcp/4001', stock: 'v2' })
    const dial = [(await ours.line('address')).address, (await stock.line('address')).address]
    await lab.run('home', ['natpmpc', '-a', '4001', '4001', 'tcp', '600'])
    const home = start(lab, 'home', { plain: 4001, dial, ask: ['/ip4/11.0.0.2/tcp/4001', '/ip4/11.0.0.2/tcp/4002'] })
    await home.line('asked')
    const told = home.lines.filter((each) => each['witness'] !== undefined)
    expect(told.map(({ address, ...each }) => `${String(address)} ${String(each['outcome'])}`)).toEqual([
      '/ip4/11.0.0.2/tcp/4001 reachable',
      '/ip4/11.0.0.2/tcp/4001 reachable',
      '/ip4/11.0.0.2/tcp/4002 unreachable',
      '/ip4/11.0.0.2/tcp/4002 unreachable'
    ])
    await Promise.all([home.end(), ours.end()])
  })

  it('js-libp2p closes the connection over which it is asked by version 1, if its agent hides that it is js-libp2p', {
    timeout: 60_000
  }, async () => {
    await using lab = await openLab(street())
    const stock = start(lab, 'other', { listen: '/ip4/11.0.0.3/tcp/4001', stock: 'v1', agent: goAgent })
    const { address } = await stock.line('address')
    const home = start(lab, 'home', {
      listen: '/ip4/192.168.1.2/tcp/4001',
      dial: [address],
      ask: ['/ip4/11.0.0.2/tcp/4001']
    })
    expect(await home.line('witness')).toMatchObject({ outcome: 'inconclusive' })
    expect((await home.line('closed'))['closed']).toBe(address)
    await Promise.all([home.end(), stock.end()])
  })
})
