import { conformance, type World } from '@postern/conformance'
import { systemClock } from '@postern/interface'
import { describe, it } from 'vitest'
import { bore } from '../src/index.js'
import { exchange, startApplication } from './support/application.js'
import { type FakeServer, startFakeServer } from './support/fake-server.js'

interface BoreWorld extends World {
  readonly server: FakeServer
}

async function world(): Promise<BoreWorld> {
  const server = await startFakeServer('secret')
  const [one, other] = [await startApplication(), await startApplication()]
  return {
    server,
    clock: systemClock,
    network: { gateways: [], addresses: ['192.168.1.2'] },
    endpoint: one.endpoint,
    otherEndpoint: other.endpoint,
    exchange,
    requests: server.requests,
    changes: server.requests,
    openHandles: server.open,
    faults: {
      silence() {
        server.mood = 'silent'
      },
      refuse() {
        server.refusal = 'failed to bind to port'
      },
      misdirect() {
        server.mood = 'misdirecting'
      },
      cut: server.cut
    },
    close() {
      server.close()
      for (const { server: application } of [one, other]) application.close()
    }
  }
}

const subject = {
  world,
  create: ({ server: { controlPort } }: BoreWorld) => bore({ host: '127.0.0.1', controlPort, secret: 'secret' })
}

describe('the contract', async () => {
  for (const { id, name, skip, run } of await conformance(subject))
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, { timeout: 30_000 }, run)
})
