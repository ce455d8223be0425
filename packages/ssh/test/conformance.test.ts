import { conformance } from '@postern/conformance'
import { isForwarder, isNotice, type Strategy } from '@postern/interface'
import { describe, it } from 'vitest'
import { ssh } from '../src/index.js'
import { createWorld, type SshWorld } from './world.js'

/** The server has another port in each world, and the suite knows an ability by the id of its party. */
const withOneId =
  (strategy: Strategy): Strategy =>
  (host) => {
    const discovery = strategy(host)
    return {
      ...discovery,
      discover: (network, found, call) =>
        discovery.discover(
          network,
          (each) =>
            found(
              !isNotice(each) && isForwarder(each)
                ? { ...each, party: { ...each.party, id: 'ssh.example.org:22' } }
                : each
            ),
          call
        )
    }
  }

const subject = { world: createWorld, create: ({ options }: SshWorld) => withOneId(ssh(options)) }

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, { timeout: 60_000 }, run)
})
