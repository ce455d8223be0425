import type { Discovery, Host, ServerHost, Strategy } from '@postern/interface'
import { type Command, Option } from 'commander'
import { createLiveLine } from '../../shared/live-line.js'
import { line } from '../../shared/output.js'
import { type PortArgument, parseDuration, parsePort, parsePortNumber } from '../../shared/parse.js'
import {
  codesText,
  colorOption,
  type MetricsFlags,
  metricsHostOption,
  metricsOption,
  metricsPlace,
  orUsageError,
  readServerVia,
  type Shell,
  viaOption,
  witnessOption
} from '../common.js'

interface MapFlags extends MetricsFlags {
  readonly via: string
  readonly witness?: readonly string[]
  readonly lifetime: number
  readonly externalPort?: number
  readonly once?: boolean
  readonly json?: boolean
}

/** Adds the command `map`. */
export function addMap(program: Command, { output, finish, watched }: Shell): void {
  program
    .command('map')
    .description('Maps a port of this machine in the router, renews the mapping, and releases it at Ctrl-C.')
    .argument('<port>', 'the port, such as 8080, 8080/tcp or 4001/udp (without a protocol: TCP)', parsePort)
    .addOption(viaOption())
    .addOption(witnessOption())
    .addOption(colorOption())
    .addOption(lifetimeOption())
    .option('--external-port <port>', 'the external port to request first (default: the same port)', parsePortNumber)
    .option('--once', 'exit after the first result, or when none is possible, and let the mapping expire')
    .option('--json', 'print one JSON object per line')
    .addOption(metricsOption())
    .addOption(metricsHostOption())
    .addHelpText(
      'after',
      `
Examples:
  $ postern map 8080
  $ postern map 4001/udp --via pcp,upnp
  $ postern map 8080 --external-port 8443 --lifetime 1h
  $ postern map 8080 --witness http://203.0.113.9:4003 --witness https://witness.example.org
  $ postern map 8080 --via any,ssh:me@vps.example.org
  $ postern map 8080 --once --json
  $ postern map 8080 --metrics 9464
${codesText('map')}`
    )
    .action(async (argument: PortArgument, flags: MapFlags, command: Command) => {
      const { via, lifetime, externalPort = namedPort(argument.port), once = false, json = false } = flags
      const live = createLiveLine(output, { isText: !json })
      live.show('Starting')
      const [{ map }, { endpointOwners, fileStore }, { systemHost }] = await Promise.all([
        import('./run.js'),
        import('@postern/node'),
        import('@postern/core')
      ])
      const ladder = await readServerVia(via, command, { holdMs })
      if (ladder.every((strategy) => !mayMap(strategy(probeHost(systemHost)).kind))) {
        const text = 'It maps nothing: leave the option out, or name strategies, such as --via pcp,nat-pmp,upnp.'
        command.error(`error: --via '${via}': ${text}`)
      }
      if (once && ladder.some((strategy) => strategy(probeHost(systemHost)).kind === 'forwarder')) {
        const text = 'a port of another host is given back when this command ends: leave --once out, or that strategy.'
        command.error(`error: --once: ${text}`)
      }
      const warn = (error: Error): void => line(output.err, `! ${error.message}`)
      const strategies = [...ladder, ...(await witnesses(flags.witness ?? [], command))]
      const store = fileStore({ app: `map-${argument.port}-${argument.protocol}`, warn })
      const owners = endpointOwners({ program: 'postern map', warn })
      try {
        const asked = (flags.witness ?? []).map((url) => `--witness ${url}`)
        const options = {
          strategies,
          via,
          asked,
          lifetimeMs: lifetime,
          externalPort,
          once,
          json,
          store,
          owners,
          metrics: metricsPlace(flags),
          live,
          watched
        }
        finish(await map(argument, options, output))
      } finally {
        live.hide()
        await store.close()
      }
    })
}

const mayMap = (kind: Discovery['kind']): boolean => kind !== 'observer' && kind !== 'witness'

/** Returns a host with which a strategy can be created to look at its kind. */
const probeHost = (host: Host): ServerHost => ({ ...host, arrivals: () => undefined })

/** How long a witness holds its connection open, in ms, so that the kernel's table of sockets shows it. */
const holdMs = 500

async function witnesses(servers: readonly string[], command: Command): Promise<readonly Strategy<ServerHost>[]> {
  if (servers.length === 0) return []
  const { witness } = await import('@postern/witness')
  return [orUsageError(command, '--witness <url>', () => witness({ servers, holdMs }))]
}

/** Returns a port below 1024 as the external port: the user named it, so it is requested explicitly. */
const namedPort = (port: number): number | undefined => (port < 1024 ? port : undefined)

const lifetimeOption = (): Option =>
  new Option('--lifetime <time>', 'the lifetime to request, such as 90s, 30m or 2h')
    .argParser(parseDuration)
    .default(parseDuration('2h'), '2h')
