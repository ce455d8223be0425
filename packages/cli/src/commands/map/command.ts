import { type Command, Option } from 'commander'
import { line } from '../../shared/output.js'
import { type PortArgument, parseDuration, parsePort, parsePortNumber } from '../../shared/parse.js'
import { codesText, colorOption, readVia, type Shell, viaOption } from '../common.js'

interface MapFlags {
  readonly via: string
  readonly lifetime: number
  readonly externalPort?: number
  readonly once?: boolean
  readonly json?: boolean
}

/** Adds the command `map`. */
export function addMap(program: Command, { output, finish }: Shell): void {
  program
    .command('map')
    .description('Maps a port of this machine in the router, renews the mapping, and releases it at Ctrl-C.')
    .argument('<port>', 'the port, such as 8080, 8080/tcp or 4001/udp (without a protocol: TCP)', parsePort)
    .addOption(viaOption())
    .addOption(colorOption())
    .addOption(lifetimeOption())
    .option('--external-port <port>', 'the external port to request first (default: the same port)', parsePortNumber)
    .option('--once', 'exit after the first result, or when none is possible, and let the mapping expire')
    .option('--json', 'print one JSON object per line')
    .addHelpText(
      'after',
      `
Examples:
  $ postern map 8080
  $ postern map 4001/udp --via pcp,upnp
  $ postern map 8080 --external-port 8443 --lifetime 1h
  $ postern map 8080 --once --json
${codesText('map')}`
    )
    .action(async (argument: PortArgument, flags: MapFlags, command: Command) => {
      const { via, lifetime, externalPort = namedPort(argument.port), once = false, json = false } = flags
      const [{ map }, { endpointOwners, fileStore }, { systemHost }] = await Promise.all([
        import('./run.js'),
        import('@postern/node'),
        import('@postern/core')
      ])
      const strategies = await readVia(via, command)
      if (strategies.every((strategy) => strategy(systemHost).kind === 'observer')) {
        const text = 'It maps nothing: leave the option out, or name strategies, such as --via pcp,nat-pmp,upnp.'
        command.error(`error: --via '${via}': ${text}`)
      }
      const warn = (error: Error): void => line(output.err, `! ${error.message}`)
      const store = fileStore({ app: `map-${argument.port}-${argument.protocol}`, warn })
      const owners = endpointOwners({ program: 'postern map', warn })
      try {
        const asked = { strategies, via, lifetimeMs: lifetime, externalPort, once, json, store, owners }
        finish(await map(argument, asked, output))
      } finally {
        await store.close()
      }
    })
}

/** Returns a port below 1024 as the external port: the user named it, so it is requested explicitly. */
const namedPort = (port: number): number | undefined => (port < 1024 ? port : undefined)

const lifetimeOption = (): Option =>
  new Option('--lifetime <time>', 'the lifetime to request, such as 90s, 30m or 2h')
    .argParser(parseDuration)
    .default(parseDuration('2h'), '2h')
