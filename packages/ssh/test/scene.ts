import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  type CarriedConnection,
  type Clock,
  type Finding,
  type Forwarder,
  type ForwardLease,
  isForwarder,
  isNotice,
  type Notice,
  parseMultiaddr,
  systemClock
} from '@postern/interface'
import { onTestFinished } from 'vitest'
import { ssh } from '../src/index.js'
import type { SshOptions } from '../src/options.js'
import { createWorld, type SshWorld } from './world.js'

/** The options of a call that is never aborted. */
export const call = (): { readonly signal: AbortSignal } => ({ signal: new AbortController().signal })

/** A clock on which sleeps of these lengths take no time, so that a test does not wait for them. */
export const clockWithout = (...lengths: readonly number[]): Clock => ({
  ...systemClock,
  sleep: (ms, options) => systemClock.sleep(lengths.includes(ms) ? 0 : ms, options)
})

/** A strategy in a world with an SSH server. */
export interface Scene {
  readonly world: SshWorld
  readonly forwarder: Forwarder
  readonly carried: CarriedConnection[]
  readonly notices: Notice[]
  /** Ends the discovery. */
  stop(): void
  forward(suggestedExternalPort?: number): Promise<ForwardLease>
}

export interface SceneOptions extends Partial<SshOptions> {
  readonly clock?: Clock
  readonly world?: SshWorld
}

/** Opens a world, and a strategy with the options of the world and these. */
export async function scene({ clock = systemClock, world: given, ...options }: SceneOptions = {}): Promise<Scene> {
  const world = given ?? (await createWorld())
  if (given === undefined) onTestFinished(() => world.close())
  const carried: CarriedConnection[] = []
  const notices: Notice[] = []
  const log = { debug: () => undefined, info: () => undefined }
  const host = { clock, random: () => 0.5, log, carried: (each: CarriedConnection) => void carried.push(each) }
  const discovery = ssh({ ...world.options, ...options })(host)
  const controller = new AbortController()
  onTestFinished(() => controller.abort())
  const forwarder = await new Promise<Forwarder>((resolve, reject) => {
    const found = (each: Finding): void => {
      if (isNotice(each)) notices.push(each)
      else if (isForwarder(each)) resolve(each)
    }
    discovery.discover(world.network, found, controller).catch(reject)
  })
  return {
    world,
    forwarder,
    carried,
    notices,
    stop: () => controller.abort(),
    forward: (suggestedExternalPort = world.endpoint.port) =>
      forwarder.forward({ endpoint: world.endpoint, suggestedExternalPort }, call())
  }
}

/** Connects to the address of a lease. */
export async function dial({ addresses }: ForwardLease): Promise<Socket> {
  const { address, port } = parseMultiaddr(addresses[0] ?? '/') ?? { address: '', port: 0 }
  const socket = connect({ host: address, port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Sends a text to an application that echoes, and resolves with what comes back. */
export async function echoed(socket: Socket, text: string): Promise<string> {
  socket.write(text)
  let back = ''
  while (back.length < text.length) back += String(((await once(socket, 'data')) as [Buffer])[0])
  return back
}

/** Waits until something holds, by turns of the event loop. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}
