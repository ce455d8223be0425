import { isIP } from 'node:net'

export const isUint = (value, bits) => Number.isInteger(value) && value >= 0 && value < 2 ** bits
export const isUint64 = (value) => typeof value === 'bigint' && value >= 0n && value < 2n ** 64n
export const isPort = (value) => isUint(value, 16) && value > 0
export const isIpText = (value) => typeof value === 'string' && isIP(value) !== 0
export const isBytes = (value) => value instanceof Uint8Array
export const isOptional = (value, type) => value === undefined || typeof value === type
export const isIn = (value, list) => list.includes(value)
export const textBytes = (texts) => texts.map((text) => new TextEncoder().encode(text))
