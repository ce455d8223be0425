import type { Lab } from '@postern/lab'
import { command, folder, type Running } from './in-lab.js'

/** A running `postern relay` or `postern peer` in a host. */
export interface LabRelay {
  readonly running: Running
  readonly peerId: string
  /** The addresses that it reports. */
  readonly addresses: readonly string[]
}

/** Starts `postern relay` in a host, and waits until it listens. */
export const startRelay = (lab: Lab, host: string, ...args: readonly string[]): Promise<LabRelay> =>
  listening(lab, host, 'relay', args)

/** Starts `postern peer` in a host that needs no mapping, and waits until it listens. */
export const startPublicNode = (lab: Lab, host: string): Promise<LabRelay> =>
  listening(lab, host, 'peer', ['--via', 'none'])

async function listening(lab: Lab, host: string, what: string, args: readonly string[]): Promise<LabRelay> {
  const running = command(lab, [what, '--json', '--listen', '/ip4/0.0.0.0/tcp/4001', ...args], await folder(), host)
  const told = await running.next('listening')
  return { running, ...readListening(told) }
}

function readListening(told: object): { readonly peerId: string; readonly addresses: readonly string[] } {
  if (!('peerId' in told) || !('addresses' in told) || !Array.isArray(told.addresses)) throw new Error('not listening')
  return { peerId: String(told.peerId), addresses: told.addresses.map(String) }
}

/** Returns the first address of a relay, as a user would paste it. */
export function pasted({ addresses }: LabRelay): string {
  const [first] = addresses
  if (first === undefined) throw new Error('the relay tells no address')
  return first
}
