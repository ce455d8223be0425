// Checked by tsc -p tsconfig.test.json; nothing runs it. If one of these lines compiled, tsc would report the directive
// above it as unused.
import type { Server } from 'node:http'
import { autonat } from '@postern/autonat'
import { createTraversal } from '@postern/core'
import type { Strategy } from '@postern/interface'
import { defaultStrategies, type Libp2pHost, natTraversal, portMappingClient } from '@postern/libp2p'
import { expose } from '@postern/node'
import { pcp } from '@postern/pcp'
import { relay } from '@postern/relay'
import { stun } from '@postern/stun'
import { witness } from '@postern/witness'

declare const server: Server
declare const forLibp2p: Strategy<Libp2pHost>

// A strategy that needs only a host fits all of them.
void expose(server, { strategies: [pcp(), stun({ servers: ['stun.example.org'] })] })
createTraversal({ strategies: [pcp()] })
// One that needs a server of the program fits `expose`, which has one.
void expose(server, { strategies: [pcp(), witness({ servers: ['203.0.113.9:4003'] })] })
natTraversal({ strategies: [pcp(), forLibp2p, relay(), autonat()] })

// @ts-expect-error It needs the parts of a libp2p node.
void expose(server, { strategies: [forLibp2p] })
// @ts-expect-error So does this.
void expose(server, { strategies: [pcp(), relay()] })
// @ts-expect-error And this.
void expose(server, { strategies: [pcp(), autonat()] })
// @ts-expect-error And all of them together.
void expose(server, { strategies: defaultStrategies() })
// @ts-expect-error A port mapping client has no node to give them.
portMappingClient({ strategies: [relay()] })
// @ts-expect-error Nor has a ladder without a host that has them.
createTraversal({ strategies: [forLibp2p] })
// @ts-expect-error Nor does it have a server of the program.
createTraversal({ strategies: [witness({ servers: ['203.0.113.9:4003'] })] })
