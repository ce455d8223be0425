import { conformance } from '@postern/conformance'
import { virtualClock } from '@postern/testkit'
import { describe, it } from 'vitest'
import { manual } from '../src/index.js'

/** The strategy sends no requests, and a manual forward cannot be observed. */
const subject = {
  create: () => manual({ address: '/ip4/1.2.3.4', port: 8080 }),
  world: () => ({ clock: virtualClock(), network: { gateways: [], addresses: ['192.168.1.10'] }, requests: () => 0 })
}

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, run)
})
