// Output of the operating system, and contents of files.
import { classOf } from '@postern/interface'
import { isMemory, parseMemories } from '../../packages/core/src/memory/codec.ts'
import { parsePackets, parseRules } from '../../packages/lab/src/rules.ts'
import { parseTimeExceeded } from '../../packages/net/src/network/first-hop.ts'
import { parseNetstat } from '../../packages/net/src/routes/darwin.ts'
import * as linux from '../../packages/net/src/routes/linux.ts'
import { parseGetNetRoute } from '../../packages/net/src/routes/windows.ts'
import { textsOf } from '../corpus/index.mjs'
import { refusals } from '../decoders.mjs'
import { isIn, isOptional } from './shapes.mjs'

const areRoutes = (routes) =>
  routes.every(
    ({ family, gateway, interface: link, metric }) =>
      isIn(family, [4, 6]) && isOptional(gateway, 'string') && typeof link === 'string' && Number.isFinite(metric)
  )
const isMap = (value) => value instanceof Map && [...value].flat().every((each) => typeof each === 'string')

export const system = [
  {
    name: 'linux-route',
    corpus: textsOf('linux-route'),
    run: (text) => linux.parseProcRoute(text),
    accepts: (value) => areRoutes(value) && value.every(({ gateway }) => isAddressOrNone(gateway))
  },
  {
    name: 'linux-route6',
    corpus: textsOf('linux-route6'),
    run: (text) => linux.parseProcIpv6Route(text),
    accepts: areRoutes
  },
  { name: 'linux-arp', corpus: textsOf('linux-arp'), run: (text) => linux.parseProcArp(text), accepts: isMap },
  {
    name: 'linux-if-inet6',
    corpus: textsOf('linux-if-inet6'),
    run: (text) => linux.parseProcIfInet6(text),
    accepts: (value) => [...value].every((each) => classOf(each) !== undefined)
  },
  { name: 'macos-netstat', corpus: textsOf('macos-netstat'), run: (text) => parseNetstat(text), accepts: areRoutes },
  {
    name: 'windows-get-net-route',
    corpus: textsOf('windows-get-net-route'),
    run: (text) => parseGetNetRoute(text),
    accepts: areRoutes,
    refuses: refusals.network
  },
  {
    name: 'time-exceeded',
    corpus: textsOf('snmp'),
    run: (text) => parseTimeExceeded(text),
    accepts: (value) => value === undefined || Number.isInteger(value)
  },
  {
    name: 'file-store',
    corpus: textsOf('memories'),
    run: (text) => parseMemories(text),
    accepts: (memories) => Array.isArray(memories) && memories.every(isMemory),
    refuses: refusals.file
  },
  {
    name: 'lab-rules',
    corpus: textsOf('nft'),
    // The output of nft for the lab's own rules.
    largest: 64 * 1024,
    run: (text) => [parseRules(text, text), parsePackets(text)],
    accepts: ([rules]) => Array.isArray(rules),
    refuses: refusals.file
  }
].map((target) => ({ refuses: refusals.never, ...target }))

const isAddressOrNone = (text) => text === undefined || classOf(text) !== undefined
