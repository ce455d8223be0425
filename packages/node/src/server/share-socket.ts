import type { Socket } from 'node:dgram'
import type { OpenSharedSocket, Traversal } from '@postern/core'
import {
  type CallOptions,
  type Endpoint,
  familyOf,
  isWildcard,
  type Network,
  natError,
  type SharedUdpSocket
} from '@postern/interface'
import { shareSocketOf } from '@postern/net'

/** Lends a datagram server to observers, one socket for each local address that they are asked from. */
export function lendSocket(
  traversal: Traversal,
  server: Socket,
  endpoints: readonly Endpoint[],
  network: () => Network,
  call: CallOptions
): void {
  for (const endpoint of endpoints) {
    const taps = new Map<string, SharedUdpSocket>()
    const lend: OpenSharedSocket = () => {
      const address = concrete(endpoint, network())
      const tap = taps.get(address) ?? shareSocketOf(server, { ...endpoint, address })
      taps.set(address, tap)
      return tap
    }
    traversal.shareSocket(lend, call)
  }
}

/** Returns a concrete local address of an endpoint. Throws `UNREACHABLE` if this host has none of its family. */
function concrete({ address, family }: Endpoint, { gateways, addresses }: Network): string {
  if (!isWildcard(address)) return address
  const ours = [...gateways.map(({ localAddress }) => localAddress), ...addresses]
  const found = ours.find((each) => familyOf(each) === family)
  if (found === undefined) throw natError('UNREACHABLE', `this machine has no IPv${family} address`)
  return found
}
