import type { MultiaddrText } from '@postern/interface'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { line, type Output } from '../../shared/output.js'
import { parseCount, parsePortNumber } from '../../shared/parse.js'
import { addressesOption, codesText, colorOption, orUsageError, readVia, type Shell, viaOption } from '../common.js'

interface CommonFlags {
  readonly via: string
  readonly relay?: readonly MultiaddrText[]
  readonly peer?: readonly MultiaddrText[]
  readonly key?: string
  readonly json?: boolean
}

interface ListenFlags extends CommonFlags {
  readonly allow?: readonly string[]
  readonly most: number
  readonly mostPerPeer: number
}

/** Adds the command `tunnel`. */
export function addTunnel(program: Command, shell: Shell): void {
  const tunnel = program
    .command('tunnel')
    .description('Gives allowed peers in another home access to a TCP service of this home.')
    .addHelpText('after', examples('connect'))
  addListen(tunnel, shell)
  addConnect(tunnel, shell)
  addId(tunnel, shell)
}

function addListen(tunnel: Command, { output, finish }: Shell): void {
  withCommon(tunnel.command('listen <target>'), 'listen')
    .description('Gives allowed peers access to one TCP service: <port> of this machine, or <host>:<port>.')
    .option('--allow <peer id>', 'the id of a peer that may connect; may be repeated (default: none)', collect)
    .addOption(new Option('--most <count>', 'maximum number of TCP connections').argParser(parseCount).default(128))
    .addOption(
      new Option('--most-per-peer <count>', 'maximum number of TCP connections of one peer')
        .argParser(parseCount)
        .default(64)
    )
    .addHelpText('after', examples('others'))
    .action(async (text: string, flags: ListenFlags, command: Command) => {
      const [{ listen }, { readPeerId, readTarget }] = await Promise.all([import('./listen.js'), import('./peer.js')])
      const target = orUsageError(command, '<target>', () => readTarget(text))
      const allow = orUsageError(command, '--allow <peer id>', () =>
        (flags.allow ?? []).map((each) => readPeerId(each).toString())
      )
      const common = await readCommon(flags, 'listen', command, output)
      const { most, mostPerPeer } = flags
      finish(await listen({ ...common, target, allow, maxTotal: most, maxPerPeer: mostPerPeer }, output))
    })
}

function addConnect(tunnel: Command, { output, finish }: Shell): void {
  withCommon(tunnel.command('connect <peer> <localPort>'), 'connect')
    .description(
      'Makes the service of a peer available on a port of this machine. <peer> is a multiaddr, or a peer id with --relay.'
    )
    .addOption(
      new Option('--bind <address>', 'the local address that accepts connections').default('127.0.0.1', '127.0.0.1')
    )
    .addHelpText('after', examples('connect'))
    .action(
      async (text: string, localPort: string, flags: CommonFlags & { readonly bind: string }, command: Command) => {
        const [{ connect }, { readPeer }] = await Promise.all([import('./connect.js'), import('./peer.js')])
        const port = orUsageError(command, '<localPort>', () => readPort(localPort))
        const { peer, addresses } = orUsageError(command, '<peer>', () => readPeer(text, flags.relay ?? []))
        const common = await readCommon(flags, 'connect', command, output)
        finish(await connect({ ...common, peer, addresses, local: { address: flags.bind, port } }, output))
      }
    )
}

function addId(tunnel: Command, { output, finish }: Shell): void {
  tunnel
    .command('id')
    .description('Prints the peer id of this machine, for --allow on the other side.')
    .option('--listen', 'print the id of `tunnel listen`, for `tunnel connect` on the other side')
    .option(
      '--key <file>',
      'the file of the private key, created if absent (default: that of `tunnel connect`, or with --listen that of `tunnel listen`)'
    )
    .addHelpText('after', examples('others'))
    .action(async ({ listen = false, key }: { readonly listen?: boolean; readonly key?: string }) => {
      const [{ defaultKeyPath, loadKey }, { idOf }] = await Promise.all([
        import('../../shared/key-file.js'),
        import('./peer.js')
      ])
      const path = key ?? defaultKeyPath(keyName(listen ? 'listen' : 'connect'))
      line(output.out, idOf(await loadKey(path, (text) => line(output.err, `! ${text}`))))
      finish(0)
    })
}

/** Returns the name of the key. Each side has its own: with one key, a relay could not distinguish the listening node
 * from the connecting node on one machine. */
const keyName = (side: 'listen' | 'connect'): string => `tunnel-${side}`

const withCommon = (command: Command, side: 'listen' | 'connect'): Command =>
  command
    .addOption(viaOption())
    .addOption(addressesOption('--relay <multiaddr>', 'a relay through which the two homes find each other'))
    .addOption(addressesOption('--peer <multiaddr>', 'a peer that verifies the addresses of this node'))
    .option(
      '--key <file>',
      `the file of the private key, created if absent (default: $XDG_STATE_HOME/postern/${keyName(side)}.key)`
    )
    .option('--json', 'print one JSON object per line')
    .addOption(colorOption())

async function readCommon(flags: CommonFlags, side: 'listen' | 'connect', command: Command, { err }: Output) {
  const [mappers, { peerIdOf, isWitness }, { defaultKeyPath, loadKey }] = await Promise.all([
    readVia(flags.via, command),
    import('../../shared/peers.js'),
    import('../../shared/key-file.js')
  ])
  const { relay: relays = [], peer = [], key = defaultKeyPath(keyName(side)), json = false } = flags
  orUsageError(command, '--relay <multiaddr>', () => relays.map(peerIdOf))
  orUsageError(command, '--peer <multiaddr>', () => peer.map(peerIdOf))
  const privateKey = await loadKey(key, (text) => line(err, `! ${text}`))
  return { mappers, relays, witnesses: [...peer, ...relays].filter(isWitness), privateKey, json }
}

const collect = (text: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), text]

function readPort(text: string): number {
  try {
    return parsePortNumber(text)
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new TypeError(error.message, { cause: error })
    throw error
  }
}

const examples = (side: 'others' | 'connect'): string => `
Examples:
  $ postern tunnel id                 print the id for --allow on the other side
  $ postern tunnel listen 22 --allow <peer id> --relay <multiaddr>
  $ postern tunnel connect <peer id> 2222 --relay <multiaddr>
  $ ssh -p 2222 localhost
${codesText(side)}`
