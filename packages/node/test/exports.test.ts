import { expect, it } from 'vitest'
import { parseMultiaddr } from '../src/index.js'

it('the package exports parseMultiaddr', () => {
  expect(parseMultiaddr('/ip4/203.0.113.7/tcp/8080')).toMatchObject({ address: '203.0.113.7', port: 8080 })
})
