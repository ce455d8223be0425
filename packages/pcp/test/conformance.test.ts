import { conformance, gatewayWorld } from '@postern/conformance'
import { describe, it } from 'vitest'
import { pcp } from '../src/index.js'

const subject = gatewayWorld({ ipv6: true, create: ({ openUdp }) => pcp({ openUdp }) })

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, run)
})
