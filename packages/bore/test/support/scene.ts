import {
  type CarriedConnection,
  type Clock,
  type Forwarder,
  type ForwardRequest,
  type Host,
  isForwarder,
  isNotice,
  systemClock
} from '@postern/interface'
import { onTestFinished } from 'vitest'
import { type BoreOptions, bore } from '../../src/index.js'
import { type Application, startApplication } from './application.js'
import { type FakeServer, startFakeServer } from './fake-server.js'

export const call: { readonly signal: AbortSignal } = { signal: new AbortController().signal }

export interface Scene {
  readonly server: FakeServer
  readonly application: Application
  readonly forwarder: Forwarder
  /** For the endpoint of the application, and its own port. */
  readonly request: ForwardRequest
  readonly carried: readonly CarriedConnection[]
  readonly lines: readonly string[]
}

/** Starts a server and an application, and finds the forwarder. All end with the test. */
export async function scene(
  options: Partial<BoreOptions> & { readonly clock?: Clock; readonly serverSecret?: string } = {}
): Promise<Scene> {
  const { clock = systemClock, serverSecret, ...wishes } = options
  const server = await startFakeServer(serverSecret)
  const application = await startApplication()
  onTestFinished(() => {
    server.close()
    application.server.close()
  })
  const carried: CarriedConnection[] = []
  const lines: string[] = []
  const log = { debug: () => undefined, info: (line: string) => void lines.push(line) }
  const host: Host = { clock, random: () => 0.5, log, carried: (each) => void carried.push(each) }
  let forwarder: Forwarder | undefined
  await bore({ host: '127.0.0.1', controlPort: server.controlPort, ...wishes })(host).discover(
    { gateways: [], addresses: [] },
    (finding) => {
      if (!isNotice(finding) && isForwarder(finding)) forwarder = finding
    },
    call
  )
  if (forwarder === undefined) throw new Error('no forwarder was found')
  const { endpoint } = application
  return { server, application, forwarder, request: { endpoint, suggestedExternalPort: endpoint.port }, carried, lines }
}

/** Resolves when a condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}
