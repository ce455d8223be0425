import { conformance, type Subject } from '@postern/conformance'
import { describe, it } from 'vitest'
import { portService } from '../src/index.js'
import { createWorld, externalAddress, type ServiceWorld } from './world.js'

const subject: Subject<ServiceWorld> = {
  world: createWorld,
  create: ({ service }) => portService({ externalAddress, service })
}

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, run)
})
