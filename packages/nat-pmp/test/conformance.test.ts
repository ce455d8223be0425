import { conformance, gatewayWorld } from '@postern/conformance'
import { describe, it } from 'vitest'
import { natPmp } from '../src/index.js'

const subject = gatewayWorld({ create: ({ openUdp }) => natPmp({ openUdp }) })

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, run)
})
