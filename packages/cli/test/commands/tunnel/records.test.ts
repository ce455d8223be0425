import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRecordReader, endRecord, maxRecordBytes, recordsOf } from '../../../src/commands/tunnel/records.js'

describe('records', () => {
  it('records carry any bytes in any fragments', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 50 }),
        (chunks, size) => {
          const sent = Buffer.concat([...chunks.flatMap(recordsOf).map((each) => each.subarray()), endRecord()])
          const reader = createRecordReader()
          const heard: Uint8Array[] = []
          for (let at = 0; at < sent.byteLength; at += size) {
            expect(reader.hasEnded).toBe(false)
            heard.push(...reader.read(sent.subarray(at, at + size)))
          }
          expect(reader.hasEnded).toBe(true)
          expect(Buffer.concat(heard)).toEqual(Buffer.concat(chunks))
        }
      )
    )
  })

  it('recordsOf splits bytes into records of at most 32 KiB, each of which fits a noise message', () => {
    const lengths = recordsOf(new Uint8Array(65_537)).map(({ byteLength }) => byteLength - 4)
    expect(lengths).toEqual([32_768, 32_768, 1])
    expect(Math.max(...lengths) + 4 + 12).toBeLessThan(65_519)
    expect(Buffer.from(recordsOf(Buffer.from('abc'))[0]?.subarray() ?? []).toString('hex')).toBe('00000003616263')
  })

  it('a record reader accepts records of 64 KiB, and no longer ones', () => {
    const header = (length: number): Uint8Array => Uint8Array.of(0, length >> 16, (length >> 8) & 255, length & 255)
    const reader = createRecordReader()
    reader.read(header(maxRecordBytes))
    expect(Buffer.concat(reader.read(new Uint8Array(maxRecordBytes))).byteLength).toBe(maxRecordBytes)
    expect(() => reader.read(header(maxRecordBytes + 1))).toThrow('above 65536')
  })

  it('a record reader returns bytes or throws a NatError for any input', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          const parts = createRecordReader().read(bytes)
          expect(Buffer.concat(parts).byteLength).toBeLessThan(bytes.byteLength + 1)
        } catch (error) {
          expect(isNatError(error) && error.code).toBe('MALFORMED_REPLY')
        }
      })
    )
  })
})
