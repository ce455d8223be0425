import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeReserveReply, encodeReserve } from '../../src/wire/hop.js'
import { serverAnswer } from '../support/hop.js'
import { startNode, startRelay } from '../support/nodes.js'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const codeOf = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return isNatError(error) ? error.code : error
  }
}

/** Written by hand from the messages of the spec: `libp2p/specs` relay/circuit-v2.md, "Protobuf". */
describe('the hop messages', () => {
  it('encodeReserve writes the type although it is 0', () => {
    expect(Buffer.from(encodeReserve()).toString('hex')).toBe('0800')
  })

  it.each([
    [
      'OK, with an expiry of 1,700,000,000 s, addresses, a voucher, and limits of 120 s and 131,072 bytes',
      '0802 1a18 08 80e2cfaa06 1208 0401020304060fa1 1206 0102030405 06 2206 0878 10808008 2864',
      { status: 100, expireSeconds: 1_700_000_000, limit: { duration: 120, data: 131_072 } }
    ],
    ['OK without limits', '0802 1a06 08 80e2cfaa06 2864', { status: 100, expireSeconds: 1_700_000_000 }],
    ['empty limits', '0802 1a00 2200 2864', { status: 100, limit: {} }],
    ['limits of 0', '0802 2204 0800 1000 2864', { status: 100, limit: { duration: 0, data: 0 } }],
    ['the largest expiry', '0802 1a0b 08 ffffffffffffffffff01 2864', { status: 100, expireSeconds: 2 ** 64 }],
    ['RESERVATION_REFUSED', '0802 28c801', { status: 200 }],
    ['fields in another order, and unknown fields', '2864 7a026869 8001 05 0802', { status: 100 }],
    ['a negative status', '0802 28 ffffffffffffffffff01', { status: -1 }]
  ])('decodeReserveReply reads %s', (_, bytes, expected) => {
    expect(decodeReserveReply(hex(bytes))).toEqual({ expireSeconds: undefined, limit: undefined, ...expected })
  })

  it.each([
    ['nothing', ''],
    ['a message without a type', '2864'],
    ['a RESERVE', '0800 2864'],
    ['a message without a status', '0802'],
    ['a length beyond the end', '0802 1a10 08'],
    ['a status of another type', '0802 2a0164'],
    ['a reservation of another type', '0802 1801 2864'],
    ['an invalid reservation', '0802 1a01 08 2864'],
    ['a group', '0802 2864 33 34'],
    ['field 0', '0001'],
    ['groups in groups', '33'.repeat(8000)]
  ])('decodeReserveReply rejects %s', (_, bytes) => {
    expect(codeOf(() => decodeReserveReply(hex(bytes)))).toBe('MALFORMED_REPLY')
  })

  it('decodeReserveReply returns a message or throws a NatError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const value = codeOf(() => decodeReserveReply(bytes))
        expect(typeof value === 'string' ? value : Object.keys(value as object)).toEqual(
          typeof value === 'string' ? 'MALFORMED_REPLY' : ['status', 'expireSeconds', 'limit']
        )
      })
    )
  })

  it('decodeReserveReply reads the answer of a js-libp2p relay, with limits in milliseconds', async () => {
    const [relay, node] = await Promise.all([startRelay(), startNode()])
    const before = Math.floor(Date.now() / 1000)
    const reply = decodeReserveReply(await serverAnswer(node, relay, encodeReserve()))
    expect(reply).toMatchObject({ status: 100, limit: { duration: 120_000, data: 131_072 } })
    expect(reply.expireSeconds).toBeGreaterThanOrEqual(before + 7200)
    expect(reply.expireSeconds).toBeLessThan(before + 7260)
  })
})
