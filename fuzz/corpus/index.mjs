import { readFileSync } from 'node:fs'

/** Golden messages by name. Bytes are kept as hexadecimal text. */
const read = (file) => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'))
const bytes = read('bytes.json')
const texts = read('texts.json')

export const bytesOf = (name) => bytes[name].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')))
export const textsOf = (name) => texts[name]
