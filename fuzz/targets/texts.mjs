// Text from users, programs and peers: addresses, URLs, options, the command line.
import * as contract from '@postern/interface'
import { readOptions as readAutonatOptions } from '../../packages/autonat/src/options.ts'
import { readPeer, readPeerId, readTarget } from '../../packages/cli/src/commands/tunnel/peer.ts'
import * as cliParse from '../../packages/cli/src/shared/parse.ts'
import * as cliPeers from '../../packages/cli/src/shared/peers.ts'
import { readOptions as readManualOptions } from '../../packages/manual/src/options.ts'
import { parseLadder } from '../../packages/node/src/ladder.ts'
import { readOptions as readRelayOptions } from '../../packages/relay/src/options.ts'
import { parseServer } from '../../packages/stun/src/server-name.ts'
import { parseServerUrl } from '../../packages/witness/src/server-url.ts'
import { textsOf } from '../corpus/index.mjs'
import { refusals } from '../decoders.mjs'
import { isBytes, isIn, isIpText, isPort, isUint } from './shapes.mjs'

const classes = [
  'global',
  'private',
  'carrier-grade',
  'loopback',
  'link-local',
  'unspecified',
  'documentation',
  'benchmarking',
  'multicast',
  'broadcast',
  'translated',
  'reserved'
]
const multiaddrs = textsOf('multiaddrs')
const isAddressed = ({ address, family, port }) => contract.familyOf(address) === family && isUint(port, 16)

const addresses = [
  {
    name: 'address',
    corpus: textsOf('addresses'),
    run: (text) => [contract.familyOf(text), contract.canonicalAddress(text), contract.classOf(text)],
    // Either all three accept it or none does, and a canonical form is its own canonical form.
    accepts: ([family, canonical, kind]) =>
      family === undefined
        ? canonical === undefined && kind === undefined
        : contract.canonicalAddress(canonical) === canonical && isIn(kind, classes)
  },
  {
    name: 'printable',
    corpus: [...textsOf('ssdp'), ...multiaddrs, 'Router\u001b[2J\u202e of \ud83d\ude00'],
    run: (text) => contract.printable(text, 80),
    accepts: (value, text) =>
      contract.isPrintable(value) && value.length <= 80 && (value === text || value.length > 0 || text === '')
  },
  {
    name: 'multiaddr',
    corpus: multiaddrs,
    run: (text) => contract.parseMultiaddr(text),
    accepts: (value) => value === undefined || isAddressed(value)
  },
  {
    name: 'dial-address',
    corpus: multiaddrs,
    run: (text) => [contract.parseDialAddress(text), contract.isDialable(text)],
    // A dialled address is built from the checked parts, and parsing it again changes nothing.
    accepts: ([value, isDialable]) =>
      value === undefined
        ? typeof isDialable === 'boolean'
        : isAddressed(value) &&
          isDialable &&
          contract.canonicalAddress(value.address) === value.address &&
          contract.parseDialAddress(value.text)?.text === value.text
  }
].map((target) => ({ refuses: refusals.never, ...target }))

const usage = [
  { name: 'cli-address', corpus: multiaddrs, run: cliPeers.readAddress, accepts: (value) => isBytes(value.bytes) },
  {
    name: 'cli-dial-address',
    corpus: multiaddrs,
    run: cliPeers.readDialAddress,
    accepts: (value) => contract.isDialable(value.toString())
  },
  { name: 'cli-peer-of-address', corpus: multiaddrs, run: cliPeers.peerIdOf, accepts: isText },
  {
    name: 'cli-peer',
    corpus: [...multiaddrs, ...textsOf('peer-ids')],
    run: (text) =>
      readPeer(text, ['/ip4/203.0.113.9/tcp/4001/p2p/12D3KooWKAQ4Yy1aBCK2bJoLiKKjuVLHwuWsrUNiGkeSihx4q9j1']),
    accepts: (named) => isText(named.peer.toString()) && named.addresses.length > 0
  },
  { name: 'cli-peer-id', corpus: textsOf('peer-ids'), run: readPeerId, accepts: (value) => isText(value.toString()) },
  {
    name: 'cli-target',
    corpus: textsOf('targets'),
    run: readTarget,
    accepts: ({ host, port }) => isText(host) && isPort(port)
  },
  {
    name: 'via',
    corpus: textsOf('ladders'),
    run: parseLadder,
    accepts: (strategies) => strategies.every((each) => typeof each === 'function')
  },
  {
    name: 'stun-server',
    corpus: textsOf('targets'),
    run: parseServer,
    accepts: ({ host, port }) => isText(host) && isPort(port)
  },
  {
    name: 'witness-url',
    corpus: [...textsOf('targets'), ...textsOf('urls')],
    run: parseServerUrl,
    accepts: ({ base, host, port }) => /^https?:\/\//.test(base) && isText(host) && isPort(port)
  },
  {
    name: 'manual-options',
    corpus: multiaddrs,
    run: (address, random) =>
      readManualOptions({ address, ...(random.chance(0.5) ? { port: random.below(70_000) } : {}) }),
    accepts: ({ address, port }) => (address === undefined || isIpText(address)) && isPort(port)
  },
  {
    name: 'autonat-options',
    corpus: multiaddrs,
    run: (text) => readAutonatOptions({ peers: [text] }),
    accepts: ({ peers }) => peers.length === 1 && contract.isMultiaddrText(peers[0])
  },
  {
    name: 'relay-options',
    corpus: multiaddrs,
    run: (text) => readRelayOptions({ relays: [text] }),
    accepts: ({ named }) =>
      named.length === 1 && named[0].addresses.every((each) => contract.isDialable(each.toString()))
  }
].map((target) => ({ refuses: refusals.usage, ...target }))

const commandLine = [
  {
    name: 'cli-port',
    run: cliParse.parsePort,
    accepts: ({ port, protocol }) => isPort(port) && isIn(protocol, ['tcp', 'udp'])
  },
  { name: 'cli-port-number', run: cliParse.parsePortNumber, accepts: isPort },
  { name: 'cli-duration', run: cliParse.parseDuration, accepts: (ms) => ms >= 1000 && ms <= 86_400_000 },
  { name: 'cli-count', run: cliParse.parseCount, accepts: (count) => Number.isInteger(count) && count >= 1 },
  { name: 'cli-size', run: cliParse.parseSize, accepts: (bytes) => bytes >= 1024 && bytes <= 1024 ** 4 }
].map((target) => ({ refuses: refusals.commandLine, corpus: textsOf('numbers'), ...target }))

function isText(value) {
  return typeof value === 'string' && value !== ''
}

export const texts = [...addresses, ...usage, ...commandLine]
