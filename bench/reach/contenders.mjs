import { fileURLToPath } from 'node:url'
import { isGlobal, parseMultiaddr } from '@postern/interface'
import { stacks } from '../world.mjs'

const job = (name) => fileURLToPath(new URL(`job-${name}.mjs`, import.meta.url))
const node = (name, ...args) => [process.execPath, job(name), ...args]

const [libp2p, , stock] = stacks

/** The addresses of a node that are meant for the internet. */
const publicOf = ({ addresses = [] }) => addresses.filter((address) => isGlobal(parseMultiaddr(address)?.address ?? ''))

const hasDirect = (line) => publicOf(line).some((address) => !address.includes('/p2p-circuit'))

/**
 * What makes a home reachable. `command` starts it in a home. `isSettled`: nothing better can come after this line; without
 * such a line the last one after 25 s counts. `claimsOf` returns the claims of a line, as URLs or multiaddrs.
 */
export const contenders = [
  {
    id: 'nat-api',
    name: 'nat-api',
    isOurs: false,
    text: '`@silentbot1/nat-api` maps port 4001 of a web server; it claims the address that `externalIp()` returns if `map()` resolves to true.',
    command: () => node('nat-api'),
    isSettled: ({ final }) => final === true,
    claimsOf: ({ claims }) => claims
  },
  {
    id: 'stock',
    name: 'js-libp2p',
    isOurs: false,
    text: 'A node with `@libp2p/upnp-nat`, `@libp2p/autonat-v2` and two named relays; its peers connect again once a port is mapped, because its AutoNAT asks peers only when they connect. It claims the public addresses of `getMultiaddrs()`.',
    command: ({ peers }) => stock.command(peers),
    isSettled: hasDirect,
    claimsOf: publicOf
  },
  {
    id: 'plain',
    name: 'Postern, web server',
    isOurs: true,
    text: '`expose(server)` with the routers’ protocols, two witnesses, and a port of another host by SSH as the last resort. It claims `exposure.endpoints`.',
    command: ({ strategies, sshOptions }) => node('plain', strategies, JSON.stringify(sshOptions)),
    isSettled: ({ verdict, cause }) => verdict === 'public' && cause === null,
    claimsOf: ({ claims }) => claims
  },
  {
    id: 'libp2p',
    name: 'Postern, libp2p',
    isOurs: true,
    text: 'A node with `natTraversal()`: the routers’ protocols, AutoNAT and two named relays. It claims the public addresses of `getMultiaddrs()`.',
    command: ({ peers }) => libp2p.command(peers),
    isSettled: hasDirect,
    claimsOf: publicOf
  }
]
