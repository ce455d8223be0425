import { autonat } from '@postern/autonat'
import { createTraversal, type Report, type Traversal } from '@postern/core'
import { holePunch } from '@postern/hole-punch'
import type { Strategy } from '@postern/interface'
import { natTraversal, portMappingClient } from '@postern/libp2p'
import { manual } from '@postern/manual'
import { natPmp } from '@postern/nat-pmp'
import { type Exposure, expose } from '@postern/node'
import { pcp } from '@postern/pcp'
import { relay } from '@postern/relay'
import { stun } from '@postern/stun'
import { upnp } from '@postern/upnp'
import { witness } from '@postern/witness'
import { createWitnessServer } from '@postern/witness/server'

const strategies: readonly Strategy[] = [manual({ address: '/ip4/203.0.113.7/tcp/8080' }), pcp(), natPmp(), upnp()]
export const traversal: Traversal = createTraversal({ strategies: [...strategies, stun({ servers: ['192.0.2.1'] })] })
export const report = (exposure: Exposure): Report => exposure.report()
export const all = [autonat, holePunch, natTraversal, portMappingClient, relay, expose, witness, createWitnessServer]
