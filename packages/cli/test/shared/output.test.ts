import { Writable } from 'node:stream'
import { createTraversal } from '@postern/core'
import { isPrintable, type Mapper, type Network, natError, type Relay, type Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describe as describeFindings } from '../../src/commands/doctor/text.js'
import { reasonOf } from '../../src/shared/libp2p-stack.js'
import { line } from '../../src/shared/output.js'
import { colorsFor, formatEvent, formatStrategy, formatUnmapped } from '../../src/shared/terminal.js'

/** A terminal or pipe that records its output. */
function screen(isTTY: boolean): {
  readonly stream: Writable & { readonly isTTY: boolean }
  readonly text: () => string
} {
  let text = ''
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk)
      done()
    }
  })
  return { stream: Object.assign(stream, { isTTY }), text: () => text }
}

const harmful = [
  '\u001b]0;owned\u0007',
  '\u001b[2J',
  '\u001b[8m',
  '\r',
  '\u0007',
  '\u009b2J',
  '\u202e',
  '\u2028',
  '\u200b'
]
/** Text that a router, a relay or a peer may send: decoded from any bytes, including escapes. */
const anyText = fc.oneof(
  fc.constantFrom(...harmful),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => new TextDecoder().decode(bytes)),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => new TextDecoder('latin1').decode(bytes)),
  fc.array(fc.oneof(fc.constantFrom(...harmful), fc.string({ unit: 'binary' }))).map((parts) => parts.join(''))
)
const home: Network = {
  gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }],
  addresses: ['192.168.1.2']
}

/** A strategy that passes on the text of the network unchanged in every field. */
const hostile =
  (text: string): Strategy =>
  () => ({
    name: 'hostile',
    async discover({ gateways: [gateway = null] }, found) {
      const reason = Object.assign(new Error(text), { code: 'NO_REPLY' })
      found({ kind: 'notice', what: 'absent', gateway, reason })
      const refuse: Mapper = {
        kind: 'mapper',
        gateway,
        family: 4,
        protocols: ['tcp'],
        map: async () => Promise.reject(Object.assign(new Error(text, { cause: text }), { code: 'GATEWAY_FAULT' }))
      }
      const relay: Relay = {
        kind: 'relay',
        party: { id: text, network: text },
        reserve: async () => ({
          addresses: [`/dns4/${text}/tcp/1`],
          lifetimeMs: 60_000,
          renew: async () => Promise.reject(natError('NO_REPLY', text)),
          release: async () => undefined
        })
      }
      found(refuse)
      found(relay)
    }
  })

describe('what is written', () => {
  it('the output has no control characters for any text of a router, a relay or a peer in any field', async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        const { stream, text: written } = screen(false)
        const colors = colorsFor({ isTTY: false })
        const clock = virtualClock()
        const log = { debug: (each: string) => line(stream, each), info: (each: string) => line(stream, each) }
        const host = { clock, random: () => 0.5, log }
        const traversal = createTraversal({ strategies: [hostile(text)], host })
        for (const name of ['mapped', 'failed', 'lost', 'refuted'] as const) {
          traversal.addEventListener(name, ({ detail }) => {
            line(stream, JSON.stringify(detail))
            line(stream, formatEvent(detail, colors))
            line(stream, formatUnmapped(detail, colors))
            for (const { message } of detail.reasons ?? []) expect(isPrintable(message)).toBe(true)
          })
        }
        traversal.addEventListener('strategy', ({ detail }) => line(stream, formatStrategy(detail, colors)))
        traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '192.168.1.2', port: 80 })
        traversal.setNetwork(home)
        await traversal.start()
        await clock.advance(3000)
        const report = traversal.report()
        const witnesses = [
          { option: '--peer' as const, peer: text, id: text, failure: reasonOf(new Error(text)), isWitness: false }
        ]
        const shown = { readBack: undefined, hairpin: 'unknown' } as const
        line(stream, describeFindings({ report, shown, witnesses, dryRun: false }, colors))
        line(stream, JSON.stringify(report))
        const stopped = traversal.stop()
        await clock.advance(3000)
        await stopped
        expect(isPrintable(written().replaceAll('\n', ''))).toBe(true)
        for (const { reason } of report.strategies) expect(isPrintable(reason?.message ?? '')).toBe(true)
        for (const { address } of report.candidates) expect(isPrintable(address)).toBe(true)
        expect(report.candidates.filter(({ address }) => address.includes('/dns4/') && !isPrintable(address))).toEqual(
          []
        )
      }),
      { numRuns: 50 }
    )
  }, 30_000)

  it('the output on a terminal keeps only the colour codes of this program', () => {
    const { stream, text } = screen(true)
    line(stream, '\u001b[32m✔\u001b[39m good\u001b[8m\u001b]0;x\u0007\nnext')
    expect(text()).toContain('good\\u001b[8m\\u001b]0;x\\u0007\nnext\n')
  })

  it('the output has no escape sequences without colours', () => {
    const { stream, text } = screen(false)
    line(stream, '\u001b[32m✔\u001b[39m')
    expect(text()).toBe('\\u001b[32m✔\\u001b[39m\n')
  })

  it('JSON output keeps its value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        const { stream, text } = screen(false)
        line(stream, JSON.stringify(value))
        expect(JSON.parse(text())).toEqual(JSON.parse(JSON.stringify(value)))
        expect(isPrintable(text().trimEnd())).toBe(true)
      })
    )
  })
})
