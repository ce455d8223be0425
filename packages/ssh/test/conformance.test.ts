import { conformance } from '@postern/conformance'
import { describe, it } from 'vitest'
import { ssh } from '../src/index.js'
import { createWorld, type SshWorld } from './world.js'

const subject = { world: createWorld, create: ({ options }: SshWorld) => ssh(options) }

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, { timeout: 60_000 }, run)
})
